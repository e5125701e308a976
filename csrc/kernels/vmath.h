/* Elementary functions of float vectors, over vec.h: no branches, no gathers, the same text for every instruction set.
 *
 * Largest error, in ulp of the true value, over all 2^32 arguments for exp, tanh and gelu with AVX-512 and exp with
 * SSE2, else over the 5 million of tests/vmath_test.c or more, and nanoseconds per element in cache with AVX-512, AVX2
 * and SSE2 in that program's plain loop on a Xeon (Cascade Lake):
 *
 *     exp        1.03   0.27  0.60   1.74        gelu       1.96   0.55  1.17   6.83
 *     expm1      1.66   0.33  0.63   1.90        gelu_tanh  1.98   0.87  1.42   6.37
 *     log        0.89   0.33  0.84   2.65        silu       1.77   0.48  0.76   2.45
 *     log1p      1.44   0.53  1.22   3.42        softplus   2.27   0.63  1.13   3.79
 *     tanh       1.31   0.29  0.98   2.94        erf        1.77   0.75  1.45   4.83
 *     sigmoid    1.75   0.43  0.62   2.14        pow        0.57   2.25  4.40  11.76
 *
 * pow was tried on 1.6e6 pairs. The slopes gelu_grad, gelu_tanh_grad and silu_grad are off by less than 1.4e-7. NaN
 * gives NaN, infinities give the limit. Subnormal arguments count as 0 and results below 2^-126 may be 0: kernels run
 * with FTZ and DAZ set.
 *
 * Polynomials are minimax fits whose coefficients were rounded to float32 from the lowest power up, the rest fitted
 * anew each time; they add less than 0.25 ulp (gelu with AVX-512: 0.6). What remains is rounding. Where two roundings
 * too many would exceed 2 ulp, the part that one of them lost is carried along (`low`, `lost`).
 */
#ifndef VMATH_H
#define VMATH_H
#include "vec.h"

#define V_SIGN_BIT viset((int32_t)0x80000000)
#define V_LOG2E 0x1.715476p0f
#define V_LN2_HIGH 0x1.62e4p-1f        /* 15 bits: its product with an exponent is exact */
#define V_LN2_LOW 0x1.7f7d1cp-20f

/* c[0] + x (c[1] + x (c[2] + ...)), n coefficients. */
INLINE vf v_poly(vf x, const float *c, int n)
{
    vf p = vset(c[n - 1]);
    UNROLL for (int i = n - 2; i >= 0; i--) p = p * x + vset(c[i]);
    return p;
}
#define V_POLY(x, ...) v_poly(x, (const float[]){__VA_ARGS__}, sizeof((float[]){__VA_ARGS__}) / sizeof(float))

/* ---- exponentials: e^x = 2^n e^r, n an integer, |r| <= ln(2) / 2 ---- */

/* r; *k is n + V_MAGIC_POW2(extra), so that 2^(n + extra) can be had from it. */
INLINE vf v_reduce(vf x, float extra, vf *k)
{
    *k = x * vset(V_LOG2E) + vset(V_MAGIC_POW2(extra));
    vf n = *k - vset(V_MAGIC_POW2(extra));
    return (x - n * vset(V_LN2_HIGH)) - n * vset(V_LN2_LOW);
}
/* e^r - 1 for such an r, the polynomial split so that its parts can be had at the same time. */
INLINE vf v_expm1_reduced(vf r)
{
    vf y = r * r, low = r * vset(0x1.55549p-3f) + vset(0x1.fffffcp-2f);
    vf high = r * vset(0x1.123b3cp-7f) + vset(0x1.5558b6p-5f);
    return y * (y * (y * vset(0x1.6a4ab6p-10f) + high) + low) + r;
}

INLINE vf v_exp(vf x)
{
    vf k, r = v_reduce(vatleast(vatmost(x, 89), -104), V_LDEXP_EXTRA, &k);
    return vldexp(v_expm1_reduced(r) + vset(1), k);
}

/* e^x for -87.4 <= x <= 0, and for x below: 0 or a subnormal. */
INLINE vf v_exp_negative(vf x)
{
    vf k, q = v_expm1_reduced(v_reduce(vatleast(x, -87.4f), 0, &k)), s = vpow2(k);
    return (q + vset(1)) * s;
}

INLINE vf v_expm1(vf x)
{
    vf k, q = v_expm1_reduced(v_reduce(vatleast(vatmost(x, 89), -20), -1, &k)), s = vpow2(k);
    vf half = q * s + (s - vset(0.5f));
    return vless(vabs(x), vset(0x1p-100f), x, half + half);
}

/* Functions of m vectors take every step for all of them before the next step: a chain of 60 cycles or more is too long
 * for a processor to look past its end for the next one. In cache, Cascade Lake, ns per element with 1, 2, 3 and 4
 * vectors: gelu 0.55, 0.49, 0.45, 0.43 (AVX-512), 1.17, 0.96, 0.90, 0.94 (AVX2); silu 0.51, 0.48, 0.46, 0.46. */
#define V_ABREAST 4

/* Functions that are here for several vectors. SSE2, where silu and sigmoid are 8 % slower so, and NEON take one. */
#if VL > 4
#define V_ABREAST_FUNCTIONS(F) F(gelu) F(silu) F(sigmoid)
#else
#define V_ABREAST_FUNCTIONS(F) F(gelu)
#endif
#define EACH UNROLL for (int j = 0; j < m; j++)

/* 2^-8 (1 + e^-(x + low)) for -93.5 <= x <= 80; without that factor it would overflow where x / (1 + e^-x) does not yet
 * underflow. low may be null. The steps are those of v_reduce and v_expm1_reduced. */
#define V_SIGMOID_ONE 0x1p-8f
INLINE void v_sigmoid_denominators(const int m, vf *y, const vf *x, const vf *low)
{
    const vf one = vset(V_SIGMOID_ONE);
    vf k[V_ABREAST], r[V_ABREAST], s[V_ABREAST], sum[V_ABREAST], square[V_ABREAST], q[V_ABREAST], p[V_ABREAST];
    EACH k[j] = vset(V_MAGIC_POW2(-8)) - x[j] * vset(V_LOG2E);
    EACH q[j] = k[j] - vset(V_MAGIC_POW2(-8));
    EACH r[j] = -x[j] - q[j] * vset(V_LN2_HIGH);
    EACH s[j] = vpow2(k[j]);
    EACH r[j] = r[j] - q[j] * vset(V_LN2_LOW);
    if (low) EACH r[j] -= low[j];
    EACH sum[j] = s[j] + one;
    EACH square[j] = r[j] * r[j];
    EACH p[j] = r[j] * vset(0x1.55549p-3f) + vset(0x1.fffffcp-2f);
    EACH q[j] = r[j] * vset(0x1.123b3cp-7f) + vset(0x1.5558b6p-5f);
    EACH q[j] = square[j] * vset(0x1.6a4ab6p-10f) + q[j];
    EACH k[j] = one - (sum[j] - s[j]); /* lost in the sum */
    EACH q[j] = square[j] * q[j] + p[j];
    EACH q[j] = square[j] * q[j] + r[j];
    EACH y[j] = (q[j] * s[j] + k[j]) + sum[j];
}
INLINE vf v_sigmoid_denominator(vf x, vf low)
{
    vf y;
    v_sigmoid_denominators(1, &y, &x, &low);
    return y;
}
INLINE void v_sigmoid_abreast(const int m, vf *y, const vf *x)
{
    vf c[V_ABREAST];
    EACH c[j] = vatleast(vatmost(x[j], 80), -93.5f);
    v_sigmoid_denominators(m, y, c, NULL);
    EACH y[j] = vset(V_SIGMOID_ONE) / y[j];
}
/* x / (1 + e^-x); the last term brings back what the clamp to 80 took. */
INLINE void v_silu_abreast(const int m, vf *y, const vf *x)
{
    vf c[V_ABREAST], d[V_ABREAST];
    EACH c[j] = vatleast(vatmost(x[j], 80), -93.5f);
    v_sigmoid_denominators(m, d, c, NULL);
    EACH d[j] = c[j] / d[j];
    EACH y[j] = d[j] * vset(V_SIGMOID_ONE) + (vatleast(x[j], 80) - vset(80));
}
INLINE vf v_sigmoid(vf x)
{
    vf y;
    v_sigmoid_abreast(1, &y, &x);
    return y;
}
INLINE vf v_silu(vf x)
{
    vf y;
    v_silu_abreast(1, &y, &x);
    return y;
}
/* With s = sigmoid(t): s + t s (1 - s) at t = -|x|, one minus that at |x|. Absolute error below 2^-22. */
INLINE vf v_silu_grad(vf x)
{
    vf t = vatleast(-vabs(x), -93.5f), s = vset(V_SIGMOID_ONE) / v_sigmoid_denominator(t, vset(0));
    vf y = s * ((t + vset(1)) - t * s);
    return vless(x, vset(0), y, vset(1) - y);
}

#if VL == 16
/* A polynomial of degree 4 in t - c, t = |x|, in each of the intervals that the leading bits of t + 5/8 number: eighth
 * octaves, of which t < 9.02 meets 32. There tanh is 1 to a float32. The c are such that tanh(c) is a float32 to 2^-34
 * (Gal, 1985). Rows: c, then the coefficients; they add less than 0.4 ulp. */
static const float v_tanh_table[6][32] = {
    {0x1.7e932p+0f, 0x1.beedap+0f, 0x1.fed64p+0f, 0x1.1eaeep+1f, 0x1.3f198p+1f, 0x1.5ebdp+1f, 0x1.7f292p+1f,
     0x1.9f2ccp+1f, 0x1.cea5ap+1f, 0x1.071d4p+2f, 0x1.2765ap+2f, 0x1.47652p+2f, 0x1.674eap+2f, 0x1.868dp+2f,
     0x1.a6f82p+2f, 0x1.c79a6p+2f, 0x1.f7028p+2f, 0x1.153e4cp+3f, 0, 0x1.7f81p-4f, 0x1.3f5ep-3f, 0x1.beb7ep-3f,
     0x1.1ed36p-2f, 0x1.5ec94p-2f, 0x1.beceap-2f, 0x1.1ea62p-1f, 0x1.5e99cp-1f, 0x1.9ebacp-1f, 0x1.dfcaap-1f,
     0x1.0ebap+0f, 0x1.2ea48p+0f, 0x1.4ea1p+0f},
    {0x1.ceeb0ep-1f, 0x1.e1bd46p-1f, 0x1.ed6ac4p-1f, 0x1.f484a2p-1f, 0x1.f90cd2p-1f, 0x1.fbbfe2p-1f, 0x1.fd6f48p-1f,
     0x1.fe716p-1f, 0x1.ff41fep-1f, 0x1.ffb99cp-1f, 0x1.ffe654p-1f, 0x1.fff68ep-1f, 0x1.fffc84p-1f, 0x1.fffebp-1f,
     0x1.ffff86p-1f, 0x1.ffffd4p-1f, 0x1.fffff6p-1f, 0x1.fffffep-1f, 0, 0x1.7e631ep-4f, 0x1.3ccdaap-3f, 0x1.b7c41p-3f,
     0x1.178d78p-2f, 0x1.51adecp-2f, 0x1.a474dap-2f, 0x1.04081ep-1f, 0x1.3070aap-1f, 0x1.56d5ep-1f, 0x1.77bf9ap-1f,
     0x1.91c62ap-1f, 0x1.a80266p-1f, 0x1.ba235cp-1f},
    {0x1.75d5ap-3f, 0x1.d5dc88p-4f, 0x1.23ee16p-4f, 0x1.6b4c8ap-5f, 0x1.b9c5dap-6f, 0x1.0ee5eap-6f, 0x1.4788b2p-7f,
     0x1.8e03eap-8f, 0x1.7baed8p-9f, 0x1.1971fep-10f, 0x1.9aa566p-12f, 0x1.2e3122p-13f, 0x1.bded1p-15f, 0x1.4ff436p-16f,
     0x1.e7f4e6p-18f, 0x1.600392p-19f, 0x1.3f52acp-21f, 0x1.003fa8p-23f, 0x1p+0f, 0x1.fb89a6p-1f, 0x1.f3bf9cp-1f,
     0x1.e8647p-1f, 0x1.d9d74ap-1f, 0x1.c85294p-1f, 0x1.a9ae0cp-1f, 0x1.7befc8p-1f, 0x1.4afa26p-1f, 0x1.1a6ff6p-1f,
     0x1.d87d2cp-2f, 0x1.8971a2p-2f, 0x1.41b814p-2f, 0x1.0461e6p-2f},
    {-0x1.51ff7ep-3f, -0x1.ba18a2p-4f, -0x1.1956fp-4f, -0x1.632afap-5f, -0x1.b3cadap-6f, -0x1.0ca9e4p-6f,
     -0x1.45e7eep-7f, -0x1.8cd222p-8f, -0x1.7b3eaep-9f, -0x1.19660ap-10f, -0x1.9aad42p-12f, -0x1.2e4146p-13f,
     -0x1.be0b86p-15f, -0x1.50206ep-16f, -0x1.e84a9cp-18f, -0x1.6081p-19f, -0x1.40484ap-21f, -0x1.08a9ccp-23f,
     0x1.8ee03ep-18f, -0x1.7b0e7ep-4f, -0x1.3538eap-3f, -0x1.a37d1ap-3f, -0x1.02b7b8p-2f, -0x1.2cf55ep-2f,
     -0x1.5d91ccp-2f, -0x1.81eb36p-2f, -0x1.899a3cp-2f, -0x1.7a3d2p-2f, -0x1.5ac078p-2f, -0x1.34bd3ep-2f,
     -0x1.0a6d9ap-2f, -0x1.c1b4c2p-3f},
    {0x1.69bd22p-4f, 0x1.039facp-4f, 0x1.5c603ap-5f, 0x1.c55d8ap-6f, 0x1.1b7cc2p-6f, 0x1.6163c2p-7f, 0x1.afafdap-8f,
     0x1.07e224p-8f, 0x1.ffb29p-10f, 0x1.7c524p-11f, 0x1.15d74ep-12f, 0x1.99190ap-14f, 0x1.2dd5e2p-15f, 0x1.c654dap-17f,
     0x1.49c318p-18f, 0x1.da36a2p-20f, 0x1.c4c07cp-22f, 0x1.5946a2p-24f, -0x1.55ecc2p-2f, -0x1.494ffp-2f,
     -0x1.351e56p-2f, -0x1.187d18p-2f, -0x1.ea5b6cp-3f, -0x1.99dbfp-3f, -0x1.188ba8p-3f, -0x1.cc0736p-5f,
     0x1.a30a24p-7f, 0x1.02b7ep-4f, 0x1.82dcbcp-4f, 0x1.bbc362p-4f, 0x1.c52716p-4f, 0x1.ad3c78p-4f},
    {-0x1.95e8f4p-6f, -0x1.80ac1cp-6f, -0x1.256bdp-6f, -0x1.9504c8p-7f, -0x1.08a0d4p-7f, -0x1.4fb73cp-8f,
     -0x1.a1ee7ep-9f, -0x1.019548p-9f, -0x1.f25526p-11f, -0x1.719b92p-12f, -0x1.1084dp-13f, -0x1.9157a6p-15f,
     -0x1.2797bcp-16f, -0x1.b4066cp-18f, -0x1.3ce658p-19f, -0x1.be92cap-21f, -0x1.b2fa48p-23f, -0x1.b7396ep-28f,
     0x1.0593d2p-6f, 0x1.f9363ap-5f, 0x1.8c9a98p-4f, 0x1.042f08p-3f, 0x1.32235cp-3f, 0x1.4fd5dcp-3f, 0x1.5b74cp-3f,
     0x1.3a2a74p-3f, 0x1.e9f2bep-4f, 0x1.47ebb8p-4f, 0x1.63d0f4p-5f, 0x1.dec65p-7f, -0x1.671512p-8f, -0x1.1f2f02p-6f},
};
#define V_TANH_LOOKUP(row, y) vlookup32(v_tanh_table[row], (vi)(y) >> 20) /* 5/8 has number 18 */
INLINE vf v_tanh(vf x)
{
    vf t = vatmost(vabs(x), 9.02f), y = t + vset(0.625f), d = t - V_TANH_LOOKUP(0, y), p = V_TANH_LOOKUP(5, y);
    UNROLL for (int i = 4; i >= 1; i--) p = p * d + V_TANH_LOOKUP(i, y);
    return vcopysign(p, x);
}
#else
/* Small |x|: an odd polynomial. Else 1 - 2 / (e^2|x| + 1), where the quotient's error shrinks. */
INLINE vf v_tanh(vf x)
{
    vf t = vatmost(vabs(x), 10), k, q = v_expm1_reduced(v_reduce(t + t, 0, &k)), s = vpow2(k);
    vf large = vset(1) - vset(2) / (q * s + (s + vset(1)));
    vf y = x * x, p = V_POLY(y, -0x1.555532p-2f, 0x1.1106f6p-3f, -0x1.b835a4p-5f, 0x1.51f8cep-6f, -0x1.750ce2p-8f);
    return vless(t, vset(0.625f), x * y * p + x, vcopysign(large, x));
}
#endif

/* ---- logarithms ---- */

/* log x = e ln 2 + log(1 + f) with 1 + f in 0.75 .. 1.5. */
INLINE vf v_log(vf x)
{
    vf e, f = vsplit(x, &e) - vset(1), y = f * f;
    vf p = V_POLY(f, 0x1.5555a4p-2f, -0x1.00004ap-2f, 0x1.99699ep-3f, -0x1.54ed96p-3f, 0x1.28807ap-3f, -0x1.0d98f2p-3f,
                  0x1.acf4bap-4f, -0x1.71e354p-5f);
    vf small = (f * y * p + e * vset(V_LN2_LOW)) - vset(0.5f) * y;
    return (small + f) + e * vset(V_LN2_HIGH);
}
/* 1 + x = u + low exactly, log(1 + x) = log u + low / u. */
INLINE vf v_log1p(vf x)
{
    vf u = x + vset(1), v = u - vset(1), low = (vset(1) - (u - v)) + (x - v);
    return v_log(u) + vless(x, vset(0x1p30f), low / vatleast(u, 0x1p-30f), vset(0));
}
/* log(1 + z) for 0 <= z <= 1. */
INLINE vf v_log1p_unit(vf z)
{
    vf p = V_POLY(z, -0x1.ffffd2p-2f, 0x1.554dd0p-2f, -0x1.ff23e6p-3f, 0x1.934b54p-3f, -0x1.3a4360p-3f, 0x1.b4ae20p-4f,
                  -0x1.d6b0f4p-5f, 0x1.491890p-6f, -0x1.af4be0p-9f);
    return z * z * p + z;
}
INLINE vf v_softplus(vf x) { return vatleast(x, 0) + v_log1p_unit(v_exp_negative(-vabs(x))); }

/* ---- the error function and what is made of it ---- */

/* Small |x|: an odd polynomial. Else 1 - erfc |x|, erfc x = e^(-x p(x)). */
INLINE vf v_erf(vf x)
{
    vf t = vatmost(vabs(x), 3.93f);
    vf p = V_POLY(t, 0x1.20e852p+0f, 0x1.4574c2p-1f, 0x1.aee96cp-4f, -0x1.727a26p-6f, 0x1.7b1ab6p-9f, -0x1.2e82f8p-15f,
                  -0x1.946184p-15f, 0x1.59b55ep-18f);
    vf large = vset(1) - v_exp_negative(-t * p);
    vf y = x * x, o = V_POLY(y, 0x1.06eba6p-3f, -0x1.8126f4p-2f, 0x1.ce1d36p-4f, -0x1.b6b784p-6f, 0x1.485090p-8f,
                             -0x1.3ec0e8p-11f);
    return vless(t, vset(0.9f), x * (o + vset(1)), vcopysign(large, x));
}

/* W(t) = 2 t F(-t) e^(t^2 / 2), F the normal distribution function: between 0 and 0.8 and smooth. It is a polynomial in
 * t - c in each of the intervals that the leading bits of a number near t + 1 number: its half octaves (degree 7), or
 * with AVX-512, where a table may have 32 entries, its eighth octaves (degree 4, whose error is weighted by what an ulp
 * of the result is). The c are such that W(c) is a float32 to 2^-33 (Gal, 1985). Rows: c, then the coefficients. */
#if VL == 16
#define V_GELU_DEGREE 4
#define V_GELU_PLACE(t) ((t) * vset(0.998f) + vset(0.875f)) /* 0.875 has number 22; 13.15 is in the 32nd interval */
#define V_GELU_LOOKUP(row, place) vlookup32(v_gelu_tail[row], (vi)(place) >> 20)
static const float v_gelu_tail[6][32] = {
    {0x1.3f2ep+0f, 0x1.85dep+0f, 0x1.c4e2p+0f, 0x1.0084p+1f, 0x1.21b6p+1f, 0x1.3fbap+1f, 0x1.628cp+1f, 0x1.7e0ep+1f,
     0x1.b3d2p+1f, 0x1.f098p+1f, 0x1.19fcp+2f, 0x1.39e8p+2f, 0x1.55ep+2f, 0x1.75bp+2f, 0x1.9aap+2f, 0x1.b966p+2f,
     0x1.ee7ep+2f, 0x1.17b8p+3f, 0x1.337cp+3f, 0x1.53acp+3f, 0x1.74f8p+3f, 0x1.91bp+3f, 0, 0x1.7fd8p-4f, 0x1.85a2p-3f,
     0x1.38a8p-2f, 0x1.cb78p-2f, 0x1.1c8p-1f, 0x1.5aa4p-1f, 0x1.9f08p-1f, 0x1.e28ep-1f, 0x1.0f42p+0f},
    {0x1.271194p-1f, 0x1.3db5f2p-1f, 0x1.4cfc98p-1f, 0x1.5872cap-1f, 0x1.6279aap-1f, 0x1.69bf9ap-1f, 0x1.709206p-1f,
     0x1.750114p-1f, 0x1.7bdacp-1f, 0x1.8186ccp-1f, 0x1.86192ep-1f, 0x1.894ecap-1f, 0x1.8b7ddcp-1f, 0x1.8d759ap-1f,
     0x1.8f3da4p-1f, 0x1.906b9ep-1f, 0x1.91fdeap-1f, 0x1.935e24p-1f, 0x1.943a9ap-1f, 0x1.94fbd4p-1f, 0x1.9592e2p-1f,
     0x1.95f8ep-1f, 0, 0x1.64bf8ep-4f, 0x1.50e25cp-3f, 0x1.f1fd74p-3f, 0x1.4c2356p-2f, 0x1.8013ap-2f, 0x1.b284f6p-2f,
     0x1.e171bcp-2f, 0x1.044762p-1f, 0x1.132bd4p-1f},
    {0x1.7cdbd8p-3f, 0x1.19510cp-3f, 0x1.b4dd36p-4f, 0x1.5bdce8p-4f, 0x1.12626ep-4f, 0x1.c007bcp-5f, 0x1.66a462p-5f,
     0x1.2f82f4p-5f, 0x1.bf1892p-6f, 0x1.45adfap-6f, 0x1.d8aec4p-7f, 0x1.65d434p-7f, 0x1.1d5ec6p-7f, 0x1.c104ccp-8f,
     0x1.5ae092p-8f, 0x1.1be6c2p-8f, 0x1.9cda94p-9f, 0x1.22b942p-9f, 0x1.bb21bep-10f, 0x1.4c49dcp-10f, 0x1.fa475ap-11f,
     0x1.979a36p-11f, 0x1p+0f, 0x1.b9c108p-1f, 0x1.7cfcd8p-1f, 0x1.4107c2p-1f, 0x1.05533ap-1f, 0x1.c29fc8p-2f,
     0x1.7ed33ep-2f, 0x1.41e5f8p-2f, 0x1.10e56ep-2f, 0x1.d999a4p-3f},
    {-0x1.b0c02p-4f, -0x1.2a01c6p-4f, -0x1.b3a008p-5f, -0x1.47f668p-5f, -0x1.e7436p-6f, -0x1.7979e4p-6f,
     -0x1.1ce144p-6f, -0x1.ccfa38p-7f, -0x1.38105p-7f, -0x1.9fb63cp-8f, -0x1.12e82ep-8f, -0x1.7f5eep-9f, -0x1.1db28p-9f,
     -0x1.a1f112p-10f, -0x1.2a378ap-10f, -0x1.cab8b2p-11f, -0x1.2dc20cp-11f, -0x1.7c473p-12f, -0x1.09c232p-12f,
     -0x1.6b492ep-13f, -0x1.fad47p-14f, -0x1.7c4e4ep-14f, -0x1.988382p-1f, -0x1.57397p-1f, -0x1.200d3p-1f,
     -0x1.d6050cp-2f, -0x1.6fa272p-2f, -0x1.33c302p-2f, -0x1.f9d96ep-3f, -0x1.9a3f2ep-3f, -0x1.4fbfcp-3f,
     -0x1.1a7856p-3f},
    {0x1.9303acp-5f, 0x1.047b9cp-5f, 0x1.68cb34p-6f, 0x1.0213a8p-6f, 0x1.6aee54p-7f, 0x1.0be606p-7f, 0x1.7f0082p-8f,
     0x1.291446p-8f, 0x1.75290ap-9f, 0x1.c8e12p-10f, 0x1.147404p-10f, 0x1.647bb6p-11f, 0x1.f16e8ep-12f, 0x1.531c48p-12f,
     0x1.c05bf2p-13f, 0x1.44ab3cp-13f, 0x1.84bfe8p-14f, 0x1.b6a912p-15f, 0x1.19be8ap-15f, 0x1.5f6368p-16f,
     0x1.c14a6ep-17f, 0x1.3a18a2p-17f, 0x1.ff7434p-2f, 0x1.a46e6cp-2f, 0x1.58dap-2f, 0x1.1174bcp-2f, 0x1.9cfb62p-3f,
     0x1.50e60ap-3f, 0x1.0cd7cap-3f, 0x1.a66f68p-4f, 0x1.4f1546p-4f, 0x1.1244d4p-4f},
    {-0x1.407074p-6f, -0x1.a02112p-7f, -0x1.0bc408p-7f, -0x1.6a4284p-8f, -0x1.e3a956p-9f, -0x1.4f049ep-9f,
     -0x1.d4d712p-10f, -0x1.4ea7fp-10f, -0x1.9da3c2p-11f, -0x1.c5064p-12f, -0x1.03e0ap-12f, -0x1.31fddp-13f,
     -0x1.7dd972p-14f, -0x1.e643f8p-15f, -0x1.3d5092p-15f, -0x1.a9d782p-16f, -0x1.e9ea32p-17f, -0x1.f4862cp-18f,
     -0x1.0f6b68p-18f, -0x1.381d0ep-19f, -0x1.75959p-20f, -0x1.cfe812p-21f, -0x1.018902p-2f, -0x1.b6eccap-3f,
     -0x1.6328d4p-3f, -0x1.0e2bp-3f, -0x1.961a2p-4f, -0x1.38a27p-4f, -0x1.e27746p-5f, -0x1.76143cp-5f, -0x1.2409b8p-5f,
     -0x1.cbe3cp-6f},
};
#else
#define V_GELU_DEGREE 7
#define V_GELU_PLACE(t) ((t) + vset(1)) /* 1.0 has number 6 */
#define V_GELU_LOOKUP(row, place) vlookup8(v_gelu_tail[row], (vi)(place) >> 22)
static const float v_gelu_tail[9][8] = {
    {0x1.79cp+0f, 0x1.3e54p+1f, 0x1.fc88p+1f, 0x1.7d9p+2f, 0x1.1fa8p+3f, 0x1.87acccp+3f, 0, 0x1.8368p-1f},
    {0x1.3a4bfp-1f, 0x1.6970ecp-1f, 0x1.8272bcp-1f, 0x1.8de104p-1f, 0x1.93a36ep-1f, 0x1.95d7cap-1f, 0, 0x1.cf764cp-2f},
    {0x1.27defcp-3f, 0x1.c42db6p-5f, 0x1.33040ep-6f, 0x1.a83d5ap-8f, 0x1.0c58bap-9f, 0x1.b6d94p-11f, 0x1p+0f,
     0x1.58fc32p-2f},
    {-0x1.3d2e34p-4f, -0x1.7de2cp-6f, -0x1.81518ap-8f, -0x1.840f56p-10f, -0x1.5639e6p-12f, -0x1.a36658p-14f,
     -0x1.98844p-1f, -0x1.be1c02p-3f},
    {0x1.17b8cp-5f, 0x1.0f34d8p-7f, 0x1.9f11bep-10f, 0x1.35271ap-12f, 0x1.7fe21ep-15f, 0x1.621dfep-17f, 0x1.fffa1cp-2f,
     0x1.d0f17cp-4f},
    {-0x1.b0c2fap-7f, -0x1.57c4acp-9f, -0x1.95023p-12f, -0x1.c4a506p-15f, -0x1.8e07fep-18f, -0x1.16a438p-20f,
     -0x1.100afep-2f, -0x1.a2e6b2p-5f},
    {0x1.30173p-8f, 0x1.90b746p-11f, 0x1.71bbp-14f, 0x1.38f2c4p-17f, 0x1.892faep-21f, 0x1.a1ad92p-24f, 0x1.f8a156p-4f,
     0x1.515772p-6f},
    {-0x1.9a4ab8p-10f, -0x1.c14facp-13f, -0x1.58dfeap-16f, -0x1.afc078p-20f, -0x1.a0c7aep-24f, -0x1.32dbdep-27f,
     -0x1.85057cp-5f, -0x1.f88de4p-8f},
    {0x1.dcea12p-12f, 0x1.c4c862p-15f, 0x1.147eep-18f, 0x1.08b22ep-22f, 0x1.86075cp-27f, 0x1.dd630cp-31f,
     0x1.74764ap-7f, 0x1.94456ep-9f},
};
#endif

/* x F(x) = max(x, 0) - e^(-t^2 / 2) W(t) / 2, t = |x|. */
INLINE void v_gelu_abreast(const int m, vf *y, const vf *x)
{
    /* t^2 = r - 2 n ln 2, q = e^(-r / 2) - 1: the coefficients are those of v_expm1_reduced times powers of -1/2. For
     * NaN t may be 13.15, beyond which the result is below 2^-126; max(x, 0) is NaN. */
    const float c[] = {-0.5f, 0x1.fffffcp-4f, -0x1.55549p-6f, 0x1.5558b6p-9f, -0x1.123b3cp-12f, 0x1.6a4ab6p-16f};
    vf t[V_ABREAST], place[V_ABREAST], k[V_ABREAST], n[V_ABREAST], r[V_ABREAST], q[V_ABREAST], d[V_ABREAST],
        p[V_ABREAST];
    EACH t[j] = vabs_atmost(x[j], 13.15f);
    EACH place[j] = V_GELU_PLACE(t[j]);
    EACH k[j] = vrounded(t[j] * t[j]) * vset(-0.5f * V_LOG2E) + vset(V_MAGIC_POW2(-1));
    EACH d[j] = t[j] - V_GELU_LOOKUP(0, place[j]);
    EACH n[j] = k[j] - vset(V_MAGIC_POW2(-1));
    EACH p[j] = V_GELU_LOOKUP(V_GELU_DEGREE + 1, place[j]);
    EACH r[j] = vmul_sub(t[j], t[j], n[j] * vset(-2 * V_LN2_HIGH));
    EACH r[j] += n[j] * vset(2 * V_LN2_LOW);
    EACH q[j] = r[j] * vset(c[5]) + vset(c[4]);
    UNROLL for (int i = V_GELU_DEGREE; i > 1; i--) {
        EACH p[j] = p[j] * d[j] + V_GELU_LOOKUP(i, place[j]);
        if (i <= 4) EACH q[j] = q[j] * r[j] + vset(c[i - 1]);
    }
    EACH q[j] = q[j] * r[j] + vset(c[0]);
    EACH q[j] *= r[j];
#if VL == 16 /* in narrow intervals p * d is small, and so is what its rounding adds */
    EACH p[j] = p[j] * d[j] + V_GELU_LOOKUP(1, place[j]);
    EACH p[j] = p[j] * q[j] + p[j];
#else
    vf low[V_ABREAST];
    EACH p[j] = vfma_low(p[j], d[j], V_GELU_LOOKUP(1, place[j]), &low[j]);
    EACH p[j] = (p[j] * q[j] + low[j]) + p[j];
#endif
#if VL >= 8
    EACH y[j] = vatleast(x[j], 0) - p[j] * vpow2(k[j]);
#else /* the product is rounded, and for x below 2^-125, where x and x / 2 are on two sides of the least normal, lost */
    EACH y[j] = vless(x[j], vset(0x1p-125f), vset(0), x[j]) - p[j] * vpow2(k[j]);
#endif
}
INLINE vf v_gelu(vf x)
{
    vf y;
    v_gelu_abreast(1, &y, &x);
    return y;
}

/* 1/2 + O(x), O odd: polynomials of degree 7 around the multiples of 13/16. Absolute error below 2^-22. */
static const float v_gelu_slope[8][8] = {
    {0, 0x1.0cad92p-1f, 0x1.3df968p-1f, 0x1.15bd28p-1f, 0x1.0314b6p-1f, 0x1.003436p-1f, 0x1.0001bp-1f, 0x1.000006p-1f},
    {0x1.988454p-1f, 0x1.8978a8p-2f, -0x1.178e72p-4f, -0x1.4a301ep-4f, -0x1.1ca6aep-6f, -0x1.8b8284p-10f,
     -0x1.f73068p-15f, -0x1.336068p-20f},
    {-0x1.4d8144p-20f, -0x1.8e72ep-2f, -0x1.e20032p-4f, 0x1.8c72eap-5f, 0x1.62814cp-6f, 0x1.5a0ed4p-9f,
     0x1.1a413ap-13f, 0x1.a2e7c2p-18f},
    {-0x1.105236p-2f, 0x1.222e2p-7f, 0x1.1127e6p-3f, 0x1.ff7922p-8f, -0x1.cd4e0ap-7f, -0x1.6d85b4p-9f,
     -0x1.83a9e6p-13f, -0x1.5bbe16p-18f},
    {-0x1.9f3cecp-13f, 0x1.bbe18ep-4f, -0x1.df950ep-6f, -0x1.9aeee4p-6f, 0x1.e3231ep-9f, 0x1.fe6c56p-10f,
     0x1.3bb412p-13f, -0x1.7cd252p-15f},
    {0x1.f18be2p-5f, -0x1.5f51ccp-6f, -0x1.563ccep-6f, 0x1.874344p-7f, 0x1.7d9e0ap-10f, -0x1.b50a6p-11f,
     -0x1.0cc8fp-13f, -0x1.8a7a8ap-18f},
    {-0x1.140ff4p-9f, -0x1.0d5ee6p-6f, 0x1.64ff44p-7f, 0x1.2177p-15f, -0x1.bdcddp-10f, 0x1.ff6964p-16f,
     0x1.884e2ap-13f, 0x1.bfbf76p-13f},
    {-0x1.e01f82p-8f, 0x1.58d45ap-8f, 0x1.3945dep-11f, -0x1.e96a6ap-10f, 0x1.1e7b0cp-11f, 0x1.d77276p-15f,
     -0x1.a2fd82p-16f, -0x1.61d3bep-19f},
};
INLINE vf v_gelu_grad(vf x)
{
    vf t = vatmost(vabs(x), 6.09f), k = t * vset(16 / 13.f) + vset(V_MAGIC);
    vf d = t - (k - vset(V_MAGIC)) * vset(0.8125f);
    vf p = vlookup8(v_gelu_slope[7], (vi)k);
    UNROLL for (int i = 6; i >= 0; i--) p = p * d + vlookup8(v_gelu_slope[i], (vi)k);
    return vset(0.5f) + vcopysign(p, x);
}

/* x sigmoid(z), z = x (a + b x^2) with a = sqrt(8 / pi), b = 0.044715 a. z is needed to 2^-31, so it is two floats; a
 * is cut so that a - (a + b x^2) is exact for |x| <= 12. */
#define V_GELU_A 0x1.98845p+0f
#define V_GELU_A_LOW 0x1.9ea1b2p-23f
#define V_GELU_B 0x1.2444f2p-4f
#define V_GELU_B_LOW 0x1.49b16ap-29f
INLINE vf v_gelu_tanh(vf x)
{
    vf c = vatleast(vatmost(x, 12), -12);
    vf square = c * c, square_low = vmul_error(c, c, square), t_low, z_low;
    vf t = vfma_low(square, vset(V_GELU_B), vset(V_GELU_A), &t_low);
    t_low += square * vset(V_GELU_B_LOW) + (square_low * vset(V_GELU_B) + vset(V_GELU_A_LOW));
    vf z = vfma_low(c, t, vset(0), &z_low);
    z_low += c * t_low;
    vf y = c / v_sigmoid_denominator(vatleast(vatmost(z, 80), -93.5f), z_low) * vset(V_SIGMOID_ONE);
    return y + (vatleast(x, 12) - vset(12));
}
/* As silu's: s + t z'(t) s (1 - s) with s = sigmoid(z(t)). Absolute error below 2^-22. */
INLINE vf v_gelu_tanh_grad(vf x)
{
    const float a = (float)(V_GELU_A + (double)V_GELU_A_LOW);
    vf t = vatleast(-vabs(x), -8), square = t * t, z = t * (square * vset(V_GELU_B) + vset(a));
    vf s = vset(V_SIGMOID_ONE) / v_sigmoid_denominator(z, vset(0));
    vf slope = t * (square * vset(3 * V_GELU_B) + vset(a)), y = s * ((slope + vset(1)) - slope * s);
    return vless(x, vset(0), y, vset(1) - y);
}

/* ---- power ---- */

/* |x|^y = 2^(y log2 |x|) in double, for |x| = m 2^e. */
INLINE vd v_pow_half(vd m, vd e, vd y)
{
    vd s = (m - vdset(1)) / (m + vdset(1)), u = s * s;
    vd p = vdset(0x1.64bd80b108e46p-2);
    p = p * u + vdset(0x1.a513903e70236p-2);
    p = p * u + vdset(0x1.2778a4e2dd7a0p-1);
    p = p * u + vdset(0x1.ec709b59934e7p-1);
    p = p * u + vdset(0x1.71547652d7fa3p+1);
    vd z = vdclamp(y * (p * s + e), 300), k = z + vdset(0x1.8p52), f = z - (k - vdset(0x1.8p52));
    p = vdset(0x1.470b288647e8bp-13);
    p = p * f + vdset(0x1.5f7275d71bbafp-10);
    p = p * f + vdset(0x1.3b270e8e22866p-7);
    p = p * f + vdset(0x1.c6ae72e23cc34p-5);
    p = p * f + vdset(0x1.ebfbe2c5181edp-3);
    p = p * f + vdset(0x1.62e4311731526p-1);
    return (vd)((vul)(p * f + vdset(1)) + ((vul)k << 52));
}
/* As C's powf: 1 for y = 0 and for x = 1 whatever the other is, the sign of x for odd y, NaN for x < 0 and broken y. */
INLINE vf v_pow(vf x, vf y)
{
    vf t = vabs(x), e, m = vsplit(t, &e);
    vd m0, m1, e0, e1, y0, y1;
    vtod(m, &m0, &m1);
    vtod(e, &e0, &e1);
    vtod(y, &y0, &y1);
    vf r = vfromd(v_pow_half(m0, e0, y0), v_pow_half(m1, e1, y1));

    vi large = vabs(y) >= vset(0x1p24f); /* all of them even */
    vi n = __builtin_convertvector(vsel(large, vset(0), y), vi), whole = large | (vfromi(n) == y);
    vi one = (y == vset(0)) | (x == vset(1)) | ((t == vset(1)) & (y == y));
    r = vsel(one, vset(1), r);
    r = (vf)((vi)r | ((vi)x & ~large & (vi)((vu)n << 31) & whole));
    return vsel((x < vset(0)) & (t < vset(INFINITY)) & ~whole & (y == y), vset(NAN), r);
}

/* ---- steps and the pieces of losses ---- */

/* 1 for x >= 0, else 0. */
INLINE vf v_step(vf x) { return vsel(x == x, vsel(x >= vset(0), vset(1), vset(0)), x); }
INLINE vf v_sign(vf x) { return vsel((x > vset(0)) | (x < vset(0)), vcopysign(vset(1), x), x); }
INLINE vf v_nan_or_zero(vf x) { return vsel(x == x, vset(0), x); }

/* d^2 / 2 to |d| = a, then a line. */
INLINE vf v_huber(vf d, vf a)
{
    vf t = vabs(d), q = vmin(t, a);
    return q * (t - vset(0.5f) * q);
}
/* d^2 / (2 a) to |d| = a, then |d| - a / 2; |d| for a = 0. */
INLINE vf v_smooth_l1(vf d, vf a)
{
    vf t = vabs(d);
    return vsel(t < a, vset(0.5f) * t * (t / a), t - vset(0.5f) * a);
}
INLINE vf v_smooth_l1_grad(vf d, vf a) { return vsel(vabs(d) < a, d / a, v_sign(d)); }

/* Cross-entropy of a probability x and a target t; logarithms are kept above -100, as PyTorch does. */
INLINE vf v_bce(vf x, vf t)
{
    return -(t * vatleast(v_log(x), -100) + (vset(1) - t) * vatleast(v_log1p(-x), -100));
}
INLINE vf v_bce_grad(vf x, vf t) { return (x - t) / vatleast((vset(1) - x) * x, 1e-12f); }
/* The same of a logit x: softplus(x) - t x, so that neither part overflows. */
INLINE vf v_bce_logits(vf x, vf t) { return (vatleast(x, 0) - x * t) + v_log1p_unit(v_exp_negative(-vabs(x))); }

/* ---- sin and cos of 2 pi x for |x| <= 1/2; absolute error below 2^-23 ---- */
INLINE vf v_sincos_turns(vf x, vf *cosine)
{
    vf quarter = x * vset(4), k = quarter + vset(V_MAGIC), f = quarter - (k - vset(V_MAGIC)), y = f * f;
    vf s = f * V_POLY(y, 0x1.921fb6p+0f, -0x1.4abbecp-1f, 0x1.466b20p-4f, -0x1.2f5982p-8f);
    vf c = vset(1) + y * V_POLY(y, -0x1.3bd3ccp+0f, 0x1.03c1b0p-2f, -0x1.55b2b6p-6f, 0x1.d4f7eep-11f);
    vu n = (vu)k;
    vi odd = -(vi)(n & 1);
    *cosine = (vf)((vu)vsel(odd, s, c) ^ (((n + 1) << 30) & (vu)V_SIGN_BIT));
    return (vf)((vu)vsel(odd, c, s) ^ ((n << 30) & (vu)V_SIGN_BIT));
}
#endif
