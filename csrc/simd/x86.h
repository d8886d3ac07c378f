/* What AVX2 and AVX-512 spell alike, from V(op), INT(op) and the casts of the header that includes this. */
FB_INLINE vec v_set_bits(bits b) { return FROM_INT(SET_INT(b)); }
FB_INLINE vec v_set(real a) { return V(set1)(a); }
FB_INLINE vec v_load(const real *p) { return V(loadu)(p); }
FB_INLINE void v_store(real *p, vec a) { V(storeu)(p, a); }
FB_INLINE vec v_add(vec a, vec b) { return V(add)(a, b); }
FB_INLINE vec v_sub(vec a, vec b) { return V(sub)(a, b); }
FB_INLINE vec v_mul(vec a, vec b) { return V(mul)(a, b); }
FB_INLINE vec v_div(vec a, vec b) { return V(div)(a, b); }
FB_INLINE vec v_sqrt(vec a) { return V(sqrt)(a); }
FB_INLINE vec v_fma(vec a, vec b, vec c) { return V(fmadd)(a, b, c); }
FB_INLINE vec v_fnma(vec a, vec b, vec c) { return V(fnmadd)(a, b, c); }
FB_INLINE vec v_min(vec a, vec b) { return V(min)(a, b); } /* a < b ? a : b, so b where one is NaN */
FB_INLINE vec v_max(vec a, vec b) { return V(max)(a, b); } /* a > b ? a : b */
/* clang-format off */
FB_INLINE vec v_and(vec a, vec b) { return V(and)(a, b); }
/* clang-format on */
FB_INLINE vec v_or(vec a, vec b) { return V(or)(a, b); }
FB_INLINE vec v_add_bits(vec a, vec b) { return FROM_INT(INT(add)(TO_INT(a), TO_INT(b))); }
FB_INLINE vec v_mantissa_left(vec a) { return FROM_INT(INT(slli)(TO_INT(a), MANTISSA)); }
FB_INLINE vec v_mantissa_right(vec a) { return FROM_INT(INT(srli)(TO_INT(a), MANTISSA)); }
FB_INLINE vec v_zip_low(vec a, vec b) { return V(unpacklo)(a, b); }
FB_INLINE vec v_zip_high(vec a, vec b) { return V(unpackhi)(a, b); }
