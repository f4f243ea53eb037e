/* The peer of the exact lookup: the same table and fingerprints in C, with prefetch in groups of 16.
   With `present` (else NULL) our presence bits stand in front. */
#include <stdint.h>
#include <stddef.h>

enum { GROUP = 16 };

size_t exact(const uint64_t *rows, const uint32_t *table, const uint32_t *fp32, const uint8_t *present,
             int bits, const uint64_t *queries, size_t count, int64_t *query_rows, int64_t *entries)
{
    size_t found = 0;
    for (size_t first = 0; first < count; first += GROUP) {
        size_t left = count - first < GROUP ? count - first : GROUP, here = 0;
        uint32_t low[GROUP], high[GROUP];
        size_t number[GROUP];
        if (present)
            for (size_t i = 0; i < left; i++)
                __builtin_prefetch(&present[queries[2 * (first + i)] >> (64 - bits)]);
        for (size_t i = 0; i < left; i++) {
            uint64_t word = queries[2 * (first + i)];
            number[here] = first + i;
            unsigned byte = present ? present[word >> (64 - bits)] : 255;
            here += byte >> (word & 7) & byte >> (word >> 3 & 7) & 1;
        }
        for (size_t i = 0; i < here; i++)
            __builtin_prefetch(&table[queries[2 * number[i]] >> (64 - bits)]);
        for (size_t i = 0; i < here; i++) {
            uint64_t slot = queries[2 * number[i]] >> (64 - bits);
            low[i] = table[slot];
            high[i] = table[slot + 1];
            __builtin_prefetch(&fp32[low[i]]);
        }
        for (size_t i = 0; i < here; i++) {
            const uint64_t *query = &queries[2 * number[i]];
            for (uint32_t row = low[i]; row < high[i]; row++)
                if (fp32[row] == (uint32_t)query[0] && rows[2 * (size_t)row] == query[0] &&
                    rows[2 * (size_t)row + 1] == query[1]) {
                    query_rows[found] = (int64_t)number[i];
                    entries[found++] = row;
                }
        }
    }
    return found;
}
