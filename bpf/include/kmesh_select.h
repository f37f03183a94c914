/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From a destination to the address and port that are dialled instead. */
#ifndef KMESH_SELECT_H
#define KMESH_SELECT_H

#include <stdbool.h>
#include <bpf/bpf_endian.h>

#include "kmesh_log.h"

/* Where the first endpoint stands; a service that has endpoints has this one. */
#define KM_FIRST_INDEX 1

struct km_target {
	struct km_ip16 address;
	__u32 port;
	__u32 via_waypoint;
};

static __always_inline bool km_is_zero(const struct km_ip16 *address)
{
	return !(address->word[0] | address->word[1] | address->word[2] | address->word[3]);
}

/* An IPv6 address of this shape cannot be told from IPv4, so it is never looked up. */
static __always_inline bool km_is_ipv4(const struct km_ip16 *address)
{
	return !(address->word[1] | address->word[2] | address->word[3]);
}

static __always_inline bool km_use_waypoint(const struct km_ip16 *address, __u32 port, struct km_target *target)
{
	if (port == 0 || km_is_zero(address))
		return false;
	target->address = *address;
	target->port = port;
	target->via_waypoint = 1;
	return true;
}

/* Port of the endpoints for a port of the service; 0 when the service does not have it. */
static __always_inline __u32 km_target_port(const struct km_service_value *service, __u32 port)
{
	__u32 found = 0;

	if (port == 0)
		return 0;
#pragma unroll
	for (int slot = 0; slot < KM_PORT_SLOTS; slot++) {
		if (service->service_port[slot] == port && found == 0)
			found = service->target_port[slot];
	}
	return found;
}

/* Priority to take endpoints from; KM_PRIORITIES when there is none. */
static __always_inline __u32 km_priority(const struct km_service_value *service)
{
	if (service->endpoint_count[0] != 0)
		return 0;
	if (service->lb_policy != KM_LB_FAILOVER)
		return KM_PRIORITIES;
#pragma unroll
	for (__u32 priority = 1; priority < KM_PRIORITIES; priority++) {
		if (service->endpoint_count[priority] != 0)
			return priority;
	}
	return KM_PRIORITIES;
}

static __always_inline struct km_backend_value *km_backend_at(const struct km_endpoint_key *key)
{
	struct km_endpoint_value *endpoint = bpf_map_lookup_elem(&km_endpoint, key);

	return endpoint ? bpf_map_lookup_elem(&km_backend, endpoint) : NULL;
}

/*
 * User space may shrink a service between our reads of its count and of its endpoints. It moves the last endpoint
 * into the gap before it takes the last away, so that the first one leads to a live backend then.
 */
static __always_inline struct km_backend_value *
km_pick_backend(const struct km_service_value *service, __u32 service_id, __u32 priority)
{
	struct km_endpoint_key key = {.service_id = service_id, .priority = priority};
	struct km_backend_value *backend;
	__u32 count;

	if (priority >= KM_PRIORITIES)
		return NULL;
	count = service->endpoint_count[priority];
	if (count == 0)
		return NULL;
	key.index = bpf_get_prandom_u32() % count + KM_FIRST_INDEX;
	backend = km_backend_at(&key);
	if (backend)
		return backend;
	key.index = KM_FIRST_INDEX;
	return km_backend_at(&key);
}

static __always_inline bool km_select_pod(const struct km_backend_value *backend, __u32 port,
					  struct km_target *target)
{
	if (km_use_waypoint(&backend->waypoint_address, backend->waypoint_port, target))
		return true;
	target->address = backend->address;
	target->port = port;
	return true;
}

static __always_inline bool km_select_endpoint(const struct km_service_value *service, __u32 service_id,
					       __u32 port, struct km_target *target)
{
	struct km_backend_value *backend;
	__u32 priority = km_priority(service);

	if (priority == KM_PRIORITIES) {
		if (service->lb_policy == KM_LB_STRICT)
			KM_LOG(KM_ERR, "[SERVICE] ERR: service %u is strict and has no endpoint", service_id);
		else
			KM_LOG(KM_DEBUG, "[SERVICE] DEBUG: service %u has no endpoint", service_id);
		return false;
	}
	backend = km_pick_backend(service, service_id, priority);
	if (!backend) {
		KM_LOG(KM_WARN, "[ENDPOINT] WARN: service %u: no backend behind an endpoint of priority %u",
		       service_id, priority);
		return false;
	}
	if (km_use_waypoint(&backend->waypoint_address, backend->waypoint_port, target))
		return true;
	target->address = backend->address;
	target->port = km_target_port(service, port);
	if (target->port == 0) {
		KM_LOG(KM_ERR, "[SERVICE] ERR: service %u has no port %u", service_id, bpf_ntohs(port));
		return false;
	}
	return true;
}

/* False: nothing is known about the destination, so it stays as it is. */
static __always_inline bool km_select(const struct km_ip16 *destination, __u32 port, struct km_target *target)
{
	struct km_frontend_value *frontend = bpf_map_lookup_elem(&km_frontend, destination);
	struct km_service_value *service;
	struct km_backend_value *backend;
	__u32 upstream_id;

	if (!frontend)
		return false;
	upstream_id = frontend->upstream_id;
	service = bpf_map_lookup_elem(&km_service, &upstream_id);
	if (service) {
		if (km_use_waypoint(&service->waypoint_address, service->waypoint_port, target))
			return true;
		return km_select_endpoint(service, upstream_id, port, target);
	}
	backend = bpf_map_lookup_elem(&km_backend, &upstream_id);
	if (backend)
		return km_select_pod(backend, port, target);
	KM_LOG(KM_WARN, "[FRONTEND] WARN: %u is neither a service nor a backend", upstream_id);
	return false;
}

#endif
