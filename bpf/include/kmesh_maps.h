/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ABI of the maps: names, sizes and byte layouts, shared with user space (src/lib/model/maps.ts is the other
 * side of it). Fields are naturally aligned, so no layout has hidden padding; the assertions hold that.
 *
 * Addresses are in network order. Ports are a __u32 whose first two bytes are the port in network order, which
 * is also how struct bpf_sock_addr has them. Ids and counts are in host order (little-endian).
 */
#ifndef KMESH_MAPS_H
#define KMESH_MAPS_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define KM_PRIORITIES 7
#define KM_PORT_SLOTS 10
#define KM_SERVICE_SLOTS 10

/* IPv4: the first four bytes, the rest zero. IPv6: all sixteen. Never IPv4-mapped. */
struct km_ip16 {
	__u32 word[4];
};

struct km_frontend_key {
	struct km_ip16 address;
};

/* A service id, or the uid of a backend: both share one number space. */
struct km_frontend_value {
	__u32 upstream_id;
};

struct km_service_key {
	__u32 service_id;
};

enum km_lb_policy {
	KM_LB_RANDOM = 0,   /* priority 0 only */
	KM_LB_STRICT = 1,   /* priority 0 only, and its absence is an error */
	KM_LB_FAILOVER = 2, /* first priority that has endpoints */
};

/* Slot i of service_port pairs with slot i of target_port; unused slots are 0. */
struct km_service_value {
	__u32 endpoint_count[KM_PRIORITIES];
	__u32 lb_policy;
	__u32 service_port[KM_PORT_SLOTS];
	__u32 target_port[KM_PORT_SLOTS];
	struct km_ip16 waypoint_address;
	__u32 waypoint_port;
};

struct km_endpoint_key {
	__u32 service_id;
	__u32 priority;
	__u32 index; /* from 1 */
};

struct km_endpoint_value {
	__u32 backend_uid;
};

struct km_backend_key {
	__u32 backend_uid;
};

struct km_backend_value {
	struct km_ip16 address;
	__u32 service_count;
	__u32 service[KM_SERVICE_SLOTS];
	struct km_ip16 waypoint_address;
	__u32 waypoint_port;
};

/* Who is enrolled: a network namespace by its cookie (the rest zero), or an address. */
struct km_manage_key {
	union {
		__u64 netns_cookie;
		struct km_ip16 address;
	};
};

struct km_manage_value {
	__u32 flags; /* 0 */
};

struct km_version_value {
	__u32 version_hash;
};

/* Addresses and ports in network order. */
struct km_tuple {
	union {
		struct {
			__u32 saddr;
			__u32 daddr;
			__u16 sport;
			__u16 dport;
		} ipv4;
		struct {
			__u32 saddr[4];
			__u32 daddr[4];
			__u16 sport;
			__u16 dport;
		} ipv6;
	};
};

/* What is kept for each socket of an enrolled pod. The tuple's destination is the one the application asked for. */
struct km_socket_value {
	__u64 connect_ns;
	__u64 last_report_ns;
	__u8 direction;
	__u8 connect_success;
	__u8 via_waypoint;
	__u8 has_encoded;
	__u8 has_set_ip;
	__u8 reserved[3];
	struct km_tuple tuple;
	__u32 reserved_end;
};

/* One record of km_log_event. */
struct km_log_record {
	__u32 wanted; /* bytes that bpf_snprintf wanted to write, with the NUL: above 255 the text was cut */
	char text[255];
	char pad;
};

_Static_assert(sizeof(struct km_service_value) == 132, "layout of km_service");
_Static_assert(sizeof(struct km_endpoint_key) == 12, "layout of km_endpoint");
_Static_assert(sizeof(struct km_backend_value) == 80, "layout of km_backend");
_Static_assert(sizeof(struct km_manage_key) == 16, "layout of km_manage");
_Static_assert(sizeof(struct km_tuple) == 36, "layout of the tuple");
_Static_assert(sizeof(struct km_socket_value) == 64, "layout of km_sockstorage");
_Static_assert(__builtin_offsetof(struct km_socket_value, tuple) == 24, "layout of km_sockstorage");
_Static_assert(sizeof(struct km_log_record) == 260, "layout of km_log_event");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct km_frontend_key);
	__type(value, struct km_frontend_value);
	__uint(max_entries, 105000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} km_frontend SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct km_service_key);
	__type(value, struct km_service_value);
	__uint(max_entries, 5000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} km_service SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct km_endpoint_key);
	__type(value, struct km_endpoint_value);
	__uint(max_entries, 105000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} km_endpoint SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct km_backend_key);
	__type(value, struct km_backend_value);
	__uint(max_entries, 100000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} km_backend SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct km_manage_key);
	__type(value, struct km_manage_value);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} km_manage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct km_version_value);
	__uint(max_entries, 1);
} kmesh_version SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, struct km_socket_value);
	__uint(max_entries, 0);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} km_sockstorage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
} km_log_event SEC(".maps");

#endif
