/* Vectors of VL floats: the only file that knows intrinsics. VL is set by kernels/isa/<isa>.c.
 *
 * Arithmetic and comparison use GNU vector operators directly (a * b + c contracts to an FMA where there is one). What C
 * has no operator for is here. Comparisons give vi masks of 0 / -1. NaN: vmax and vmin return NaN if either side is NaN.
 *
 * A broadcast is built with an initialiser list: `(vf){0} + a` costs an addition, and a loop over lanes is not seen as
 * a broadcast by gcc 12.
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
INLINE vi viset(int32_t a) { return (vi)V_LANES(a); }
INLINE vf vload(const float *p) { return *(const vf_any *)p; }
INLINE vi viload(const int32_t *p) { return *(const vi_any *)p; }
INLINE void vstore(float *p, vf a) { *(vf_any *)p = a; }

/* Lanes below n, as a mask. */
INLINE vi vlanes(int64_t n) { return (vi)V_IOTA < viset(n < VL ? (int32_t)n : VL); }

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
            a = __builtin_shuffle(a, ((vi)V_IOTA + w) & (VL - 1));
            p += w;
        }
#endif
}

/* mask ? a : b, lane by lane. With AVX-512 gcc makes less of the intrinsic: it goes through a vector mask. */
INLINE vf vsel(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE vi visel(vi mask, vi a, vi b) { return (vi)vsel(mask, (vf)a, (vf)b); }
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
/* |a| with the sign of b. */
INLINE vf vcopysign(vf a, vf b) { return (vf)(((vi)a & viset(0x7fffffff)) | ((vi)b & viset((int32_t)0x80000000))); }

/* NaN in either operand gives NaN: the comparison is false for NaN in a, and hardware max/min return the second operand. */
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

INLINE vf vfromi(vi a) { return __builtin_convertvector(a, vf); }
/* Nearest integer, ties to even, for |a| < 2^22; as float and as int. */
INLINE vf vround(vf a) { vf magic = vset(0x1.8p23f); return (a + magic) - magic; }
INLINE vi vroundi(vf a) { return __builtin_convertvector(vround(a), vi); }

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
