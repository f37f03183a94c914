/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Log lines into km_log_event. A full buffer loses the line and nothing else. */
#ifndef KMESH_LOG_H
#define KMESH_LOG_H

#include "kmesh_maps.h"

enum km_log_level {
	KM_ERR = 0,
	KM_WARN = 1,
	KM_INFO = 2,
	KM_DEBUG = 3,
};

/* Alone in .data, which user space knows as the map km_globals. Changed while the programs run. */
__u32 bpf_log_level = KM_INFO;

/* `format` is a literal; %pI4 and %pI6 take pointers to addresses in network order. */
#define KM_LOG(level, format, args...)                                                                 \
	({                                                                                             \
		if ((level) <= bpf_log_level) {                                                        \
			struct km_log_record *km_record =                                              \
				bpf_ringbuf_reserve(&km_log_event, sizeof(*km_record), 0);             \
			if (km_record) {                                                               \
				__builtin_memset(km_record, 0, sizeof(*km_record));                    \
				km_record->wanted = BPF_SNPRINTF(km_record->text,                      \
								 sizeof(km_record->text), format, ##args); \
				bpf_ringbuf_submit(km_record, 0);                                      \
			}                                                                              \
		}                                                                                      \
	})

#endif
