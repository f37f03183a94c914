/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect(2) of IPv4 sockets. Included by kmesh.bpf.c. */

/* Always 1: a connect is never refused. */
SEC("cgroup/connect4")
int cgroup_connect4_prog(struct bpf_sock_addr *ctx)
{
	struct km_ip16 destination = {.word = {ctx->user_ip4}};
	struct km_target target = {};
	struct km_socket_value *stored;
	__u32 port = ctx->user_port;

	if (ctx->protocol != IPPROTO_TCP)
		return 1;
	if (destination.word[0] == bpf_htonl(2) && km_control(ctx))
		return 1;
	if (!km_is_managed(ctx))
		return 1;
	stored = km_socket_begin(ctx);
	if (!km_select(&destination, port, &target))
		return 1;
	if (target.address.word[0] == 0 || !km_is_ipv4(&target.address)) {
		KM_LOG(KM_WARN, "[KMESH] WARN: %pI4:%u leads to an address that is not IPv4", &destination,
		       bpf_ntohs(port));
		return 1;
	}
	if (stored) {
		stored->via_waypoint = target.via_waypoint;
		stored->tuple.ipv4.daddr = destination.word[0];
		stored->tuple.ipv4.dport = port;
	}
	ctx->user_ip4 = target.address.word[0];
	ctx->user_port = target.port;
	KM_LOG(KM_DEBUG, "[KMESH] DEBUG: %pI4:%u goes to %pI4:%u", &destination, bpf_ntohs(port), &target.address,
	       bpf_ntohs(target.port));
	return 1;
}
