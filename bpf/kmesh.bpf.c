/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One translation unit, so that one object holds every program and each map once. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kmesh_maps.h"
#include "kmesh_log.h"
#include "kmesh_manage.h"
#include "kmesh_select.h"

#include "connect4.c"
#include "connect6.c"

/* What the kernel knows GPL-2.0-only OR BSD-2-Clause as. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
