// SPDX-License-Identifier: Apache-2.0

/** Results in the order of the items, at most `limit` at work; the first failure is thrown when all have settled. */
export async function mapConcurrent<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next
      next += 1
      results[index] = await work(items[index] as T)
    }
  }
  const workers = Array.from({length: Math.min(limit, items.length)}, worker)
  const failed = (await Promise.allSettled(workers)).find((outcome) => outcome.status === 'rejected')
  if (failed) throw failed.reason
  return results
}
