/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect(2) of IPv6 sockets, to IPv6 and to IPv4-mapped addresses. Included by kmesh.bpf.c. */

#define KM_MAPPED_WORD bpf_htonl(0xffff)

/* Both forms are looked up in the maps' form; `mapped` tells how to write the answer back. */
static __always_inline void km_redirect6(struct bpf_sock_addr *ctx, const struct km_target *target, bool mapped)
{
	if (mapped) {
		ctx->user_ip6[3] = target->address.word[0];
	} else {
		ctx->user_ip6[0] = target->address.word[0];
		ctx->user_ip6[1] = target->address.word[1];
		ctx->user_ip6[2] = target->address.word[2];
		ctx->user_ip6[3] = target->address.word[3];
	}
	ctx->user_port = target->port;
}

static __always_inline void km_log_redirect6(const struct km_ip16 *from, __u32 port, const struct km_target *to,
					     bool mapped)
{
	if (mapped)
		KM_LOG(KM_DEBUG, "[KMESH] DEBUG: ::ffff:%pI4:%u goes to ::ffff:%pI4:%u", from, bpf_ntohs(port),
		       &to->address, bpf_ntohs(to->port));
	else
		KM_LOG(KM_DEBUG, "[KMESH] DEBUG: [%pI6]:%u goes to [%pI6]:%u", from, bpf_ntohs(port), &to->address,
		       bpf_ntohs(to->port));
}

/* Always 1: a connect is never refused. */
SEC("cgroup/connect6")
int cgroup_connect6_prog(struct bpf_sock_addr *ctx)
{
	struct km_ip16 asked = {.word = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};
	struct km_ip16 destination = asked;
	struct km_target target = {};
	struct km_socket_value *stored;
	__u32 port = ctx->user_port;
	bool mapped = !(asked.word[0] | asked.word[1]) && asked.word[2] == KM_MAPPED_WORD;
	bool is_control = !(asked.word[0] | asked.word[1] | asked.word[2]) && asked.word[3] == bpf_htonl(2);

	if (ctx->protocol != IPPROTO_TCP)
		return 1;
	if (is_control && km_control(ctx))
		return 1;
	if (!km_is_managed(ctx))
		return 1;
	stored = km_socket_begin(ctx);
	if (mapped)
		destination = (struct km_ip16){.word = {asked.word[3]}};
	else if (km_is_ipv4(&destination))
		return 1;
	if (!km_select(&destination, port, &target))
		return 1;
	if (km_is_zero(&target.address) || km_is_ipv4(&target.address) != mapped) {
		KM_LOG(KM_WARN, "[KMESH] WARN: [%pI6]:%u leads to an address of another family", &asked,
		       bpf_ntohs(port));
		return 1;
	}
	if (stored) {
		stored->via_waypoint = target.via_waypoint;
		__builtin_memcpy(stored->tuple.ipv6.daddr, &asked, sizeof(asked));
		stored->tuple.ipv6.dport = port;
	}
	km_redirect6(ctx, &target, mapped);
	km_log_redirect6(&destination, port, &target, mapped);
	return 1;
}
