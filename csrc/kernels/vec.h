/* Vectors of VL floats: the only file that knows intrinsics. VL is set by kernels/isa/<isa>.c.
 *
 * Arithmetic and comparison use GNU vector operators directly (a * b + c contracts to an FMA where there is one).
 * What C has no operator for is here. Comparisons give vi masks of 0 / -1. NaN: vmax and vmin return NaN if either
 * side is NaN.
 *
 * A broadcast is built with an initialiser list: `(vf){0} + a` costs an addition, and a loop over lanes is not seen
 * as a broadcast by gcc 12.
 */
#ifndef VEC_H
#define VEC_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef uint32_t vu __attribute__((vector_size(4 * VL)));
typedef float vf_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef int32_t vi_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

#if VL == 4
#define V_LANES(x) {x, x, x, x}
#define V_IOTA {0, 1, 2, 3}
#elif VL == 8
#define V_LANES(x) {x, x, x, x, x, x, x, x}
#define V_IOTA {0, 1, 2, 3, 4, 5, 6, 7}
#elif VL == 16
#define V_LANES(x) {x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}
#define V_IOTA {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
#endif

INLINE vf vset(float a) { return (vf)V_LANES(a); }
/* s[j] += *a * b[j], a row of a register tile of nv vectors. With AVX-512 the sums stay in their registers (gcc 12
 * moves some of 32 to and fro). from_memory: the multiply-adds broadcast *a themselves, an instruction less for nv - 1
 * loads more; without an index in its address, or the processor takes them apart again. */
INLINE void vmuladd_row(const int from_memory, const int nv, vf *s, const float *a, const vf *b)
{
#if defined(__x86_64__) && VL == 16
    if (from_memory)
        UNROLL for (int j = 0; j < nv; j++)
            __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(s[j]) : "v"(b[j]), "m"(*a));
    else {
        vf ai = vset(*a);
        UNROLL for (int j = 0; j < nv; j++) __asm__("vfmadd231ps %2, %1, %0" : "+v"(s[j]) : "v"(b[j]), "v"(ai));
    }
#else
    (void)from_memory;
    vf ai = vset(*a);
    UNROLL for (int j = 0; j < nv; j++) s[j] += ai * b[j];
#endif
}
/* Whether that pays for row i of a tile of `rows`: instructions are what it waits for while the core's other thread is
 * busy, and loads, two in a cycle, where too many rows ask for more of them. */
INLINE int vfrom_memory(const int rows, const int nv, const int i)
{
    return nv == 1 || (rows > 2 && i % (nv == 2 ? 3 : 4) == 0);
}
INLINE vi viset(int32_t a) { return (vi)V_LANES(a); }
INLINE vf vload(const float *p) { return *(const vf_any *)p; }
INLINE vi viload(const int32_t *p) { return *(const vi_any *)p; }
INLINE void vstore(float *p, vf a) { *(vf_any *)p = a; }
/* Whatever has been computed of pointer p is forgotten. Of an unrolled loop the compiler would otherwise make a pointer
 * for every load and store, more of them than there are registers for. */
#define V_FORGET(p) __asm__("" : "+r"(p))
/* A hint that two vectors 1 KB after p will be wanted; p need not lead into an array. */
INLINE void vahead(const float *p)
{
    UNROLL for (int line = 0; line < 2 * VL; line += 16) __builtin_prefetch((const char *)p + 1024 + 4 * line);
}

/* Lanes below n, as a mask. */
INLINE vi vlanes(int64_t n) { return (vi)V_IOTA < viset(n < VL ? (int32_t)n : VL); }

/* Lane i of the result is lane lanes[i] of a and b, counted through both: 0 .. 2 VL - 1. */
INLINE vf vshuffle(vf a, vf b, vi lanes)
{
#ifdef __clang__
    float t[2 * VL];
    vstore(t, a);
    vstore(t + VL, b);
    for (int i = 0; i < VL; i++) a[i] = t[lanes[i]];
    return a;
#else
    return __builtin_shuffle(a, b, lanes);
#endif
}

/* rows x VL floats, transposed: the vectors then hold column after column, `rows` floats each. rows is a power of two,
 * at most VL. Halves are interleaved log2(rows) times. */
INLINE void vinterleave(vf *r, const int rows)
{
    const vi iota = V_IOTA, low = (iota >> 1) + (iota & 1) * VL, high = low + VL / 2;
    for (int w = 1; w < rows; w *= 2) {
        vf t[VL];
        UNROLL for (int i = 0; i < rows / 2; i++) {
            t[2 * i] = vshuffle(r[i], r[i + rows / 2], low);
            t[2 * i + 1] = vshuffle(r[i], r[i + rows / 2], high);
        }
        UNROLL for (int i = 0; i < rows; i++) r[i] = t[i];
    }
}
INLINE void vtranspose(vf r[VL]) { vinterleave(r, VL); }
/* The inverse: `rows` floats of each column after another, taken apart into rows. */
INLINE void vdeinterleave(vf *r, const int rows)
{
    const vi even = 2 * (vi)V_IOTA, odd = even + 1;
    for (int w = 1; w < rows; w *= 2) {
        vf t[VL];
        UNROLL for (int i = 0; i < rows / 2; i++) {
            t[i] = vshuffle(r[2 * i], r[2 * i + 1], even);
            t[i + rows / 2] = vshuffle(r[2 * i], r[2 * i + 1], odd);
        }
        UNROLL for (int i = 0; i < rows; i++) r[i] = t[i];
    }
}

/* Writes the first n lanes, 0 <= n <= VL. */
INLINE void vstore_n(float *p, vf a, int64_t n)
{
#if VL == 16
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)a);
#else
    if (n >= VL) { vstore(p, a); return; }
    UNROLL for (int w = VL / 2; w; w /= 2)
        if (n & w) {
            memcpy(p, &a, 4 * w);
            a = vshuffle(a, a, ((vi)V_IOTA + w) & (VL - 1));
            p += w;
        }
#endif
}

/* mask ? a : b, lane by lane. With AVX-512 gcc makes less of the intrinsic: it goes through a vector mask. */
INLINE vf vsel(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
/* x < y ? a : b; with AVX-512 two instructions where a mask in a vector costs four. */
INLINE vf vless(vf x, vf y, vf a, vf b)
{
#if VL == 16
    return (vf)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_LT_OQ), (__m512)b, (__m512)a);
#else
    return vsel(x < y, a, b);
#endif
}
INLINE vi visel(vi mask, vi a, vi b) { return (vi)vsel(mask, (vf)a, (vf)b); }
/* x where a and b are equal, 0 elsewhere. */
INLINE vf vwhere_equal(vi a, vi b, vf x)
{
#if VL == 16
    return (vf)_mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b), (__m512)x);
#else
    return (vf)((a == b) & (vi)x);
#endif
}
/* Where x > *best or x is NaN, x takes the place of *best and `here` that of *at. */
INLINE void vkeep_max(vf *best, vi *at, vf x, vi here)
{
#if VL == 16
    __mmask16 wins = _mm512_cmp_ps_mask((__m512)x, (__m512)*best, _CMP_GT_OQ) |
                     _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q);
    *best = (vf)_mm512_mask_mov_ps((__m512)*best, wins, (__m512)x);
    *at = (vi)_mm512_mask_mov_epi32((__m512i)*at, wins, (__m512i)here);
#elif VL == 8
    __m256 wins = (__m256)((x > *best) | (x != x));
    *best = (vf)_mm256_blendv_ps((__m256)*best, (__m256)x, wins);
    *at = (vi)_mm256_blendv_epi8((__m256i)*at, (__m256i)here, (__m256i)wins);
#else
    vi wins = (x > *best) | (x != x);
    *best = vsel(wins, x, *best);
    *at = visel(wins, here, *at);
#endif
}
/* The first n lanes of a, zero in the others. */
INLINE vf vkeep(vf a, int64_t n) { return (vf)(vlanes(n) & (vi)a); }
/* The first n lanes from memory, 0 <= n <= VL, the others from a. */
INLINE vf vload_n(const float *p, int64_t n, vf a)
{
#if VL == 16
    return (vf)_mm512_mask_loadu_ps((__m512)a, (__mmask16)((1u << n) - 1), p);
#else
    return vsel(vlanes(n), vload(p), a);
#endif
}
/* The first lane where the mask is set; VL: none. */
INLINE int vfirst(vi mask)
{
#if VL == 16
    return __builtin_ctz(_mm512_movepi32_mask((__m512i)mask) | 1u << VL);
#elif VL == 8
    return __builtin_ctz((unsigned)_mm256_movemask_ps((__m256)mask) | 1u << VL);
#elif defined(__aarch64__)
    uint64_t m = vget_lane_u64(vreinterpret_u64_u16(vmovn_u32((uint32x4_t)mask)), 0);
    return m ? __builtin_ctzll(m) / 16 : VL;
#else
    return __builtin_ctz((unsigned)_mm_movemask_ps((__m128)mask) | 1u << VL);
#endif
}

INLINE vf vabs(vf a) { return (vf)((vi)a & viset(0x7fffffff)); }
/* Bytes as integers, and integers of 0 .. 255 as bytes: the first n, 0 <= n <= VL. */
INLINE vi vload_bytes(const uint8_t *p)
{
#if VL == 16
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif VL == 8
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
#else
    int32_t bytes;
    memcpy(&bytes, p, 4);
#if defined(__aarch64__)
    return (vi)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8((uint32_t)bytes))));
#else
    __m128i zero = _mm_setzero_si128();
    return (vi)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), zero), zero);
#endif
#endif
}
INLINE void vstore_bytes(uint8_t *p, vi a, int64_t n)
{
#if VL == 16
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), _mm512_cvtepi32_epi8((__m512i)a));
#else
#if VL == 8
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)a), _mm256_extracti128_si256((__m256i)a, 1));
    __m128i packed = _mm_packus_epi16(words, words);
    uint64_t bytes;
#elif defined(__aarch64__)
    uint16x4_t words = vmovn_u32((uint32x4_t)a);
    uint8x8_t packed = vmovn_u16(vcombine_u16(words, words));
    uint32_t bytes;
#else
    __m128i words = _mm_packs_epi32((__m128i)a, (__m128i)a), packed = _mm_packus_epi16(words, words);
    uint32_t bytes;
#endif
    memcpy(&bytes, &packed, sizeof bytes);
    if (n >= VL) memcpy(p, &bytes, sizeof bytes);
    else for (int64_t i = 0; i < n; i++) p[i] = (uint8_t)(bytes >> 8 * i);
#endif
}
/* |a| with the sign of b. */
INLINE vf vcopysign(vf a, vf b)
{
#if VL == 16 /* gcc needs two instructions for this one: bit by bit, mask ? a : b */
    return (vf)_mm512_ternarylogic_epi32(_mm512_set1_epi32(0x7fffffff), (__m512i)a, (__m512i)b, 0xca);
#else
    return (vf)(((vi)a & viset(0x7fffffff)) | ((vi)b & viset((int32_t)0x80000000)));
#endif
}

/* NaN in either operand gives NaN: the comparison is false for NaN in a, and hardware max/min return the second
 * operand. */
INLINE vf vmax(vf a, vf b)
{
#if defined(__aarch64__)
    return (vf)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
#elif VL == 16
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)b, (__m512)b, _CMP_UNORD_Q);
    return (vf)_mm512_mask_mov_ps(_mm512_max_ps((__m512)b, (__m512)a), nan, (__m512)b);
#else
    vf r;
#if VL == 8
    r = (vf)_mm256_max_ps((__m256)b, (__m256)a);
#else
    r = (vf)_mm_max_ps((__m128)b, (__m128)a);
#endif
    return vsel(b != b, b, r);
#endif
}
INLINE vf vmin(vf a, vf b)
{
#if defined(__aarch64__)
    return (vf)vminq_f32((float32x4_t)a, (float32x4_t)b);
#elif VL == 16
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)b, (__m512)b, _CMP_UNORD_Q);
    return (vf)_mm512_mask_mov_ps(_mm512_min_ps((__m512)b, (__m512)a), nan, (__m512)b);
#else
    vf r;
#if VL == 8
    r = (vf)_mm256_min_ps((__m256)b, (__m256)a);
#else
    r = (vf)_mm_min_ps((__m128)b, (__m128)a);
#endif
    return vsel(b != b, b, r);
#endif
}

INLINE vf vsqrt(vf a)
{
#if VL == 16
    return (vf)_mm512_sqrt_ps((__m512)a);
#elif VL == 8
    return (vf)_mm256_sqrt_ps((__m256)a);
#elif defined(__aarch64__)
    return (vf)vsqrtq_f32((float32x4_t)a);
#else
    return (vf)_mm_sqrt_ps((__m128)a);
#endif
}

/* The square root of a >= 0 to 1 ulp, without the divider where that is slow: an estimate of 1 / sqrt(a) and a step of
 * Newton's, which gives NaN for 0 and infinity. */
INLINE vf vroot(vf a)
{
#if VL == 16
    vf r = (vf)_mm512_rsqrt14_ps((__m512)a), s = a * r, h = r * vset(0.5f);
    enum { zero_or_infinity = 0x02 | 0x04 | 0x08 };
    return (vf)_mm512_mask_mov_ps((__m512)(s + s * (vset(0.5f) - s * h)),
                                  _mm512_fpclass_ps_mask((__m512)a, zero_or_infinity), (__m512)a);
#else
    return vsqrt(a);
#endif
}

/* Clamps against a constant in one instruction; NaN in a stays. */
INLINE vf vatmost(vf a, float most)
{
#if VL == 16
    return (vf)_mm512_min_ps((__m512)vset(most), (__m512)a);
#elif VL == 8
    return (vf)_mm256_min_ps((__m256)vset(most), (__m256)a);
#elif defined(__aarch64__)
    return (vf)vminq_f32((float32x4_t)vset(most), (float32x4_t)a);
#else
    return (vf)_mm_min_ps((__m128)vset(most), (__m128)a);
#endif
}
INLINE vf vatleast(vf a, float least)
{
#if VL == 16
    return (vf)_mm512_max_ps((__m512)vset(least), (__m512)a);
#elif VL == 8
    return (vf)_mm256_max_ps((__m256)vset(least), (__m256)a);
#elif defined(__aarch64__)
    return (vf)vmaxq_f32((float32x4_t)vset(least), (float32x4_t)a);
#else
    return (vf)_mm_max_ps((__m128)vset(least), (__m128)a);
#endif
}

/* min(|a|, most) in one instruction with AVX-512; `most` or NaN for NaN in a. */
INLINE vf vabs_atmost(vf a, float most)
{
#if VL == 16
    return (vf)_mm512_range_ps((__m512)a, _mm512_set1_ps(most), 0xa); /* of the smaller magnitude; sign bit 0 */
#else
    return vatmost(vabs(a), most);
#endif
}

/* a, rounded to float32 here: keeps a product from being contracted into an FMA, where its rounded value is meant. */
INLINE vf vrounded(vf a)
{
#if defined(__aarch64__)
    __asm__("" : "+w"(a));
#elif defined(__x86_64__)
    __asm__("" : "+v"(a));
#endif
    return a;
}

/* a * b - product without rounding, where product = a * b rounded: an FMA, or Dekker's (1971) splitting into halves,
 * which gives 0 where the halves' products would underflow and is for |a|, |b| < 2^100. */
INLINE vf vmul_error(vf a, vf b, vf product)
{
#if VL == 16
    return (vf)_mm512_fmsub_ps((__m512)a, (__m512)b, (__m512)product);
#elif VL == 8
    return (vf)_mm256_fmsub_ps((__m256)a, (__m256)b, (__m256)product);
#elif defined(__aarch64__)
    return (vf)vfmaq_f32((float32x4_t)-product, (float32x4_t)a, (float32x4_t)b);
#else
    vi high = viset((int32_t)0xfffff000);
    vf ah = (vf)((vi)a & high), al = a - ah, bh = (vf)((vi)b & high), bl = b - bh;
    vf error = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
    return (vf)((vi)error & (vabs(product) > vset(0x1p-80f)));
#endif
}
/* a * b - c with one rounding for a c near a * b; without FMA for |a|, |b| < 2^100. */
INLINE vf vmul_sub(vf a, vf b, vf c)
{
#if VL == 16 || VL == 8 || defined(__aarch64__)
    return vmul_error(a, b, c);
#else
    vf product = vrounded(a * b);
    return (product - c) + vmul_error(a, b, product);
#endif
}
/* a * b + c, rounded, and in low what the rounding lost; for |c| >= |a b| or c = 0. */
INLINE vf vfma_low(vf a, vf b, vf c, vf *low)
{
#if VL == 16
    vf r = (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
    *low = (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)(c - r));
#elif VL == 8
    vf r = (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
    *low = (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)(c - r));
#elif defined(__aarch64__)
    vf r = (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
    *low = (vf)vfmaq_f32((float32x4_t)(c - r), (float32x4_t)a, (float32x4_t)b);
#else
    vf p = vrounded(a * b), r = p + c;
    *low = ((c - r) + p) + vmul_error(a, b, p);
#endif
    return r;
}

/* table[index mod 8] in every lane. */
INLINE vf vlookup8(const float *table, vi index)
{
#if VL == 16
    return (vf)_mm512_permutexvar_ps((__m512i)index, _mm512_broadcast_f32x8(_mm256_loadu_ps(table)));
#elif VL == 8
    return (vf)_mm256_permutevar8x32_ps(_mm256_loadu_ps(table), (__m256i)index);
#elif defined(__aarch64__)
    uint8x16x2_t t = {{vreinterpretq_u8_f32(vld1q_f32(table)), vreinterpretq_u8_f32(vld1q_f32(table + 4))}};
    return (vf)vqtbl2q_u8(t, (uint8x16_t)((index & 7) * 0x04040404 + 0x03020100));
#else
    index &= 7;
    return (vf){table[index[0]], table[index[1]], table[index[2]], table[index[3]]};
#endif
}

INLINE vf vfromi(vi a) { return __builtin_convertvector(a, vf); }
/* VL bytes as floats; none further is read. gcc 12 makes single moves of the operators for this. */
INLINE vf vfrombytes(const uint8_t *p)
{
#if VL == 16
    return vfromi((vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif VL == 8
    return vfromi((vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#else
    uint32_t word;
    memcpy(&word, p, 4);
#if defined(__aarch64__)
    return vfromi((vi)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(word)))));
#else
    __m128i zero = _mm_setzero_si128();
    return vfromi((vi)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128((int)word), zero), zero));
#endif
#endif
}
/* Nearest integer, ties to even, for |a| < 2^22; as float and as int. */
INLINE vf vround(vf a) { vf magic = vset(0x1.8p23f); return (a + magic) - magic; }
INLINE vi vroundi(vf a) { return __builtin_convertvector(vround(a), vi); }

/* The same in the form k = a + V_MAGIC: the integer n stands in the low bits of k, and k - V_MAGIC is n as a float. */
#define V_MAGIC 0x1.8p23f
/* With the bias of exponents added, these bits need only be moved to where the exponent stands. */
#define V_MAGIC_POW2(extra) (V_MAGIC + 127 + (extra))
/* 2^(n + extra) for k = n + V_MAGIC_POW2(extra); the exponent must be in -126 .. 127. */
INLINE vf vpow2(vf k) { return (vf)((vu)k << 23); }
/* a * 2^n for k = n + V_MAGIC_POW2(V_LDEXP_EXTRA), |n| < 250: rounds once, overflows to infinity and underflows as
 * IEEE 754 says. */
#define V_LDEXP_EXTRA 127 /* half of n and half of both biases make a power each */
INLINE vf vldexp(vf a, vf k)
{
#if VL == 16
    return (vf)_mm512_scalef_ps((__m512)a, (__m512)(k - vset(V_MAGIC_POW2(V_LDEXP_EXTRA))));
#else
    vi half = (vi)k >> 1, rest = (vi)((vu)k - (vu)half);
    return a * vpow2((vf)half) * vpow2((vf)rest);
#endif
}
/* x = m 2^e with 0.75 <= m < 1.5, for x > 0. For 0 (and subnormals), infinity, NaN and x < 0, m + e is what log gives:
 * -infinity, infinity, NaN, NaN. */
INLINE vf vsplit(vf x, vf *e)
{
#if VL == 16
    __m512 m = _mm512_getmant_ps((__m512)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan), g = _mm512_getexp_ps((__m512)x);
    *e = (vf)_mm512_mask_add_ps(g, _mm512_cmp_ps_mask(m, _mm512_set1_ps(1), _CMP_LT_OQ), g, _mm512_set1_ps(1));
    return (vf)m;
#else
    vi t = (vi)((vu)x - (vu)viset(0x3f400000)), top = t & viset((int32_t)0xff800000);
    vf special = vsel(x < vset(0x1p-126f), vsel(x < vset(0), vset(NAN), vset(-INFINITY)), x);
    vi ordinary = (x >= vset(0x1p-126f)) & (x < vset(INFINITY));
    *e = vsel(ordinary, vfromi(t >> 23), special);
    return (vf)((vu)x - (vu)top);
#endif
}

#if VL == 16
/* table[index mod 32] in every lane. */
INLINE vf vlookup32(const float *table, vi index)
{
    return (vf)_mm512_permutex2var_ps(_mm512_loadu_ps(table), (__m512i)index, _mm512_loadu_ps(table + 16));
}
#endif

/* Vectors of VL / 2 doubles, and 64-bit lanes. */
typedef double vd __attribute__((vector_size(4 * VL)));
typedef uint64_t vul __attribute__((vector_size(4 * VL)));
#if VL == 4
#define VD_LANES(x) {x, x}
#define VUL_IOTA {0, 1}
#elif VL == 8
#define VD_LANES(x) {x, x, x, x}
#define VUL_IOTA {0, 1, 2, 3}
#else
#define VD_LANES(x) {x, x, x, x, x, x, x, x}
#define VUL_IOTA {0, 1, 2, 3, 4, 5, 6, 7}
#endif
INLINE vd vdset(double a) { return (vd)VD_LANES(a); }
INLINE vul vulset(uint64_t a) { return (vul)VD_LANES(a); }
/* The lower and the upper half of a as doubles, and back. */
INLINE void vtod(vf a, vd *lower, vd *upper)
{
#if VL == 16
    *lower = (vd)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)a));
    *upper = (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)a, 1));
#elif VL == 8
    *lower = (vd)_mm256_cvtps_pd(_mm256_castps256_ps128((__m256)a));
    *upper = (vd)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)a, 1));
#elif defined(__aarch64__)
    *lower = (vd)vcvt_f64_f32(vget_low_f32((float32x4_t)a));
    *upper = (vd)vcvt_high_f64_f32((float32x4_t)a);
#else
    *lower = (vd)_mm_cvtps_pd((__m128)a);
    *upper = (vd)_mm_cvtps_pd(_mm_movehl_ps((__m128)a, (__m128)a));
#endif
}
INLINE vf vfromd(vd lower, vd upper)
{
#if VL == 16
    __m512 r = _mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)lower));
    return (vf)_mm512_insertf32x8(r, _mm512_cvtpd_ps((__m512d)upper), 1);
#elif VL == 8
    return (vf)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)upper), _mm256_cvtpd_ps((__m256d)lower));
#elif defined(__aarch64__)
    return (vf)vcvt_high_f32_f64(vcvt_f32_f64((float64x2_t)lower), (float64x2_t)upper);
#else
    return (vf)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)lower), _mm_cvtpd_ps((__m128d)upper));
#endif
}
/* min(max(a, -limit), limit); NaN stays. */
INLINE vd vdclamp(vd a, double limit)
{
#if VL == 16
    return (vd)_mm512_min_pd(_mm512_set1_pd(limit), _mm512_max_pd(_mm512_set1_pd(-limit), (__m512d)a));
#elif VL == 8
    return (vd)_mm256_min_pd(_mm256_set1_pd(limit), _mm256_max_pd(_mm256_set1_pd(-limit), (__m256d)a));
#elif defined(__aarch64__)
    return (vd)vminq_f64(vdupq_n_f64(limit), vmaxq_f64(vdupq_n_f64(-limit), (float64x2_t)a));
#else
    return (vd)_mm_min_pd(_mm_set1_pd(limit), _mm_max_pd(_mm_set1_pd(-limit), (__m128d)a));
#endif
}
/* The 64-bit product of the lower 32 bits of every lane. */
INLINE vul vmul32(vul a, vul b)
{
#if VL == 16
    return (vul)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif VL == 8
    return (vul)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__aarch64__)
    return (vul)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
    return (vul)_mm_mul_epu32((__m128i)a, (__m128i)b);
#endif
}

/* Sum and largest of the lanes, in a fixed order: halves are combined, so the result depends on VL only. */
INLINE float vsum(vf a)
{
    float t[VL];
    vstore(t, a);
    for (int w = VL / 2; w; w /= 2)
        for (int i = 0; i < w; i++) t[i] += t[i + w];
    return t[0];
}
INLINE float vmaxlane(vf a)
{
    float t[VL], m;
    vstore(t, a);
    m = t[0];
    for (int i = 1; i < VL; i++) m = t[i] > m || t[i] != t[i] ? t[i] : m;
    return m;
}
#endif
