/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is enrolled, and the connects that change it. */
#ifndef KMESH_MANAGE_H
#define KMESH_MANAGE_H

#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#include "kmesh_log.h"

#define KM_PORT_ENROLL bpf_htons(929)
#define KM_PORT_RELEASE bpf_htons(930)

/* net_cls.classid of an enrolled pod's cgroup, where pods are known by that. */
#define KM_CLASSID 0x1000

/* The kernel has this type where it was built with net_cls (cgroup v1), and only then has it the helper. */
struct cgroup_cls_state___kmesh {
} __attribute__((preserve_access_index));

/* The class of the calling task. A kernel without net_cls never sees the call: the verifier drops dead code. */
static __always_inline bool km_is_classified(struct bpf_sock_addr *ctx)
{
	if (!bpf_core_type_exists(struct cgroup_cls_state___kmesh))
		return false;
	return bpf_get_cgroup_classid((struct __sk_buff *)ctx) == KM_CLASSID;
}

static __always_inline bool km_is_managed(struct bpf_sock_addr *ctx)
{
	struct km_manage_key key = {};

	key.netns_cookie = bpf_get_netns_cookie(ctx);
	return bpf_map_lookup_elem(&km_manage, &key) || km_is_classified(ctx);
}

/*
 * The caller found the control address (0.0.0.2 or ::2). True when the port is one of the two. The connect itself
 * goes on as it came: its sender does not block and takes EINPROGRESS for success.
 */
static __always_inline bool km_control(struct bpf_sock_addr *ctx)
{
	struct km_manage_key key = {};
	struct km_manage_value value = {};
	__u32 port = ctx->user_port;
	long error;

	if (port != KM_PORT_ENROLL && port != KM_PORT_RELEASE)
		return false;
	key.netns_cookie = bpf_get_netns_cookie(ctx);
	if (port == KM_PORT_ENROLL) {
		error = bpf_map_update_elem(&km_manage, &key, &value, BPF_ANY);
		if (error)
			KM_LOG(KM_ERR, "[KMESH] ERR: cannot enroll namespace %llu: %ld", key.netns_cookie, error);
		else
			KM_LOG(KM_DEBUG, "[KMESH] DEBUG: namespace %llu is enrolled", key.netns_cookie);
	} else {
		error = bpf_map_delete_elem(&km_manage, &key);
		KM_LOG(KM_DEBUG, "[KMESH] DEBUG: namespace %llu is released: %ld", key.netns_cookie, error);
	}
	return true;
}

/* Notes the time, and forgets what an earlier connect of the same socket left. NULL where memory is short. */
static __always_inline struct km_socket_value *km_socket_begin(struct bpf_sock_addr *ctx)
{
	struct km_socket_value *stored;

	if (!ctx->sk)
		return NULL;
	stored = bpf_sk_storage_get(&km_sockstorage, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!stored)
		return NULL;
	__builtin_memset(stored, 0, sizeof(*stored));
	stored->connect_ns = bpf_ktime_get_ns();
	return stored;
}

#endif
