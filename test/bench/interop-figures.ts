// SPDX-License-Identifier: Apache-2.0
/** How large the cluster of the interop benchmark is. */
export const PODS = 100_000
export const NAMESPACES = 200
export const SERVICES = 5000
