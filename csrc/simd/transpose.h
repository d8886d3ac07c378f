/* Transpose within 128-bit blocks, from an instruction set's v_zip_low/high (elements) and v_zip_low/high_pairs.
 *
 * After it r[BLOCK * g + c], block q, holds rows BLOCK * g ... of column BLOCK * q + c, where BLOCK = 16 / sizeof(real). */
enum { BLOCK = 16 / sizeof(real) };

FB_INLINE void transpose_blocks(vec r[LANES])
{
    FB_UNROLL (int g = 0; g < LANES; g += BLOCK) {
#if FB_REAL == 32
        const vec low01 = v_zip_low(r[g], r[g + 1]), high01 = v_zip_high(r[g], r[g + 1]);
        const vec low23 = v_zip_low(r[g + 2], r[g + 3]), high23 = v_zip_high(r[g + 2], r[g + 3]);
        r[g] = v_zip_low_pairs(low01, low23);
        r[g + 1] = v_zip_high_pairs(low01, low23);
        r[g + 2] = v_zip_low_pairs(high01, high23);
        r[g + 3] = v_zip_high_pairs(high01, high23);
#else
        const vec low = v_zip_low(r[g], r[g + 1]), high = v_zip_high(r[g], r[g + 1]);
        r[g] = low;
        r[g + 1] = high;
#endif
    }
}
