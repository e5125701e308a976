/* Elementary functions of float vectors, over vec.h: no branches, no gathers, the same text for every instruction set.
 *
 * Largest error, in ulp of the true value, over all 2^32 arguments for exp, tanh and gelu with AVX-512 and exp with
 * SSE2, else over the 5 million of tests/vmath_test.c or more, and nanoseconds per element in cache with AVX-512, AVX2
 * and SSE2 in that program's plain loop on a Xeon (Cascade Lake):
 *
 *     exp        1.03   0.27  0.60   1.74        gelu       1.995  0.58  1.27   7.71
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
 * anew each time; they add less than 0.25 ulp. What remains is rounding. Where two roundings too many would exceed
 * 2 ulp, the part that one of them lost is carried along (`low`, `lost`).
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

/* 2^-8 (1 + e^-(x + low)) for -93.5 <= x <= 80; without that factor it would overflow where x / (1 + e^-x) does not yet
 * underflow. */
#define V_SIGMOID_ONE 0x1p-8f
INLINE vf v_sigmoid_denominator(vf x, vf low)
{
    vf k, q = v_expm1_reduced(v_reduce(-x, -8, &k) - low), s = vpow2(k);
    vf one = vset(V_SIGMOID_ONE), sum = s + one, lost = one - (sum - s);
    return (q * s + lost) + sum;
}
INLINE vf v_sigmoid(vf x)
{
    return vset(V_SIGMOID_ONE) / v_sigmoid_denominator(vatleast(vatmost(x, 80), -93.5f), vset(0));
}
/* x / (1 + e^-x); the last term brings back what the clamp to 80 took. */
INLINE vf v_silu(vf x)
{
    vf c = vatleast(vatmost(x, 80), -93.5f);
    return c / v_sigmoid_denominator(c, vset(0)) * vset(V_SIGMOID_ONE) + (vatleast(x, 80) - vset(80));
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

/* W(t) = t F(-t) e^(t^2 / 2), F the normal distribution function: between 0 and 0.4 and smooth. It is a polynomial in
 * t - c in each of the intervals that the leading bits of t + 1 number: its half octaves (degree 7), or with AVX-512,
 * where a table may have 32 entries, its eighth octaves (degree 5). The c are such that W(c) is a float32 to 2^-33
 * (Gal, 1985). Rows: c, then the coefficients. */
#if VL == 16
#define V_GELU_DEGREE 5
#define V_GELU_LOOKUP(row, y) vlookup32(v_gelu_tail[row], (vi)(y) >> 20) /* 1.0 has number 24 */
static const float v_gelu_tail[7][32] = {
    {0x1.2004p+0f, 0x1.60b8p+0f, 0x1.9e5ep+0f, 0x1.de08p+0f, 0x1.0ee9p+1f, 0x1.2f39p+1f, 0x1.50b9p+1f, 0x1.6f1p+1f,
     0x1.9f14p+1f, 0x1.e1fep+1f, 0x1.0f0fp+2f, 0x1.2f59p+2f, 0x1.5058p+2f, 0x1.7126p+2f, 0x1.8f5ep+2f, 0x1.aee7p+2f,
     0x1.e23ep+2f, 0x1.0f38p+3f, 0x1.2f78p+3f, 0x1.5111p+3f, 0x1.6f1ap+3f, 0x1.8efap+3f, 0x1.afa7p+3f, 0x1.cfcp+3f, 0,
     0x1.871p-3f, 0x1.3f04p-2f, 0x1.c348p-2f, 0x1.1f72p-1f, 0x1.5ef8p-1f, 0x1.9f08p-1f, 0x1.e06cp-1f},
    {0x1.1aa0e2p-2f, 0x1.32ab0cp-2f, 0x1.441d2ep-2f, 0x1.521946p-2f, 0x1.5d1714p-2f, 0x1.65eebap-2f, 0x1.6d449cp-2f,
     0x1.72ae02p-2f, 0x1.7974b4p-2f, 0x1.80526ap-2f, 0x1.84c5aap-2f, 0x1.8857cep-2f, 0x1.8b1908p-2f, 0x1.8d34d8p-2f,
     0x1.8ebed6p-2f, 0x1.900b52p-2f, 0x1.91ac0ap-2f, 0x1.930d6ep-2f, 0x1.941e44p-2f, 0x1.94ee26p-2f, 0x1.957b22p-2f,
     0x1.95f028p-2f, 0x1.964eccp-2f, 0x1.969954p-2f, 0, 0x1.51f29p-4f, 0x1.f9edc2p-4f, 0x1.47ef7ep-3f, 0x1.82a8a4p-3f,
     0x1.b5bcdp-3f, 0x1.e171bcp-3f, 0x1.03b58p-2f},
    {0x1.b65162p-4f, 0x1.48fee8p-4f, 0x1.fcfe98p-5f, 0x1.8c8e32p-5f, 0x1.394d4ap-5f, 0x1.f439ccp-6f, 0x1.9141d6p-6f,
     0x1.4c1b1ep-6f, 0x1.f58e0ep-7f, 0x1.5e8bc4p-7f, 0x1.0565a8p-7f, 0x1.875b44p-8f, 0x1.2a124ep-8f, 0x1.d02a08p-9f,
     0x1.7675bcp-9f, 0x1.2f8e86p-9f, 0x1.bb1f86p-10f, 0x1.3d7fe4p-10f, 0x1.cc3b1p-11f, 0x1.53cb56p-11f,
     0x1.091e38p-11f, 0x1.9fc37ap-12f, 0x1.4a11e4p-12f, 0x1.0b4aeep-12f, 0x1p-1f, 0x1.7c9602p-2f, 0x1.3e208ep-2f,
     0x1.0848d8p-2f, 0x1.bf19ap-3f, 0x1.7a93eap-3f, 0x1.41e5fcp-3f, 0x1.124c9cp-3f},
    {-0x1.00fc68p-4f, -0x1.697f1cp-5f, -0x1.0749b8p-5f, -0x1.8232eap-6f, -0x1.1fba9ap-6f, -0x1.b1b3e2p-7f,
     -0x1.4865f2p-7f, -0x1.026ac4p-7f, -0x1.69761cp-8f, -0x1.c8f254p-9f, -0x1.3924b6p-9f, -0x1.ae9c3cp-10f,
     -0x1.2e571cp-10f, -0x1.b46a58p-11f, -0x1.49a202p-11f, -0x1.f4d09p-12f, -0x1.4b3ef4p-12f, -0x1.ab2ddcp-13f,
     -0x1.175f0cp-13f, -0x1.762864p-14f, -0x1.0d6b06p-14f, -0x1.8665d8p-15f, -0x1.1f7b84p-15f, -0x1.b291b4p-16f,
     -0x1.988438p-2f, -0x1.1fb19ep-2f, -0x1.d0f5dcp-3f, -0x1.74a07cp-3f, -0x1.30dec8p-3f, -0x1.f31524p-4f,
     -0x1.9a3ee2p-4f, -0x1.51d964p-4f},
    {0x1.eb1ffp-6f, 0x1.45ee1ep-6f, 0x1.c1c766p-7f, 0x1.3859f2p-7f, 0x1.b93ac8p-8f, 0x1.3b82c8p-8f, 0x1.c52414p-9f,
     0x1.5453d6p-9f, 0x1.bb5c04p-10f, 0x1.fe19dap-11f, 0x1.42d87cp-11f, 0x1.99814ap-12f, 0x1.0a04ap-12f,
     0x1.650264p-13f, 0x1.fa21ap-14f, 0x1.69149cp-14f, 0x1.b1f0f8p-15f, 0x1.f9009p-16f, 0x1.2a9d66p-16f,
     0x1.6b5882p-17f, 0x1.e36f5ep-18f, 0x1.43f234p-18f, 0x1.bad76ep-19f, 0x1.3897cp-19f, 0x1.ffef6ap-3f,
     0x1.57f4aep-3f, 0x1.0dd83ep-3f, 0x1.a3140cp-4f, 0x1.4d044p-4f, 0x1.088f58p-4f, 0x1.a620c4p-5f, 0x1.513a8ep-5f},
    {-0x1.9a231p-7f, -0x1.020facp-7f, -0x1.52e51p-8f, -0x1.bf4cep-9f, -0x1.2cc2f8p-9f, -0x1.990798p-10f,
     -0x1.186a72p-10f, -0x1.933994p-11f, -0x1.ecb02ap-12f, -0x1.032c3cp-12f, -0x1.301152p-13f, -0x1.64daaep-14f,
     -0x1.ae381cp-15f, -0x1.0d02c2p-15f, -0x1.675ab8p-16f, -0x1.df91c6p-17f, -0x1.08afbep-17f, -0x1.16454ep-18f,
     -0x1.29ddc2p-19f, -0x1.4d06e8p-20f, -0x1.964a98p-21f, -0x1.fe418cp-22f, -0x1.3b6fb2p-22f, -0x1.a2402p-23f,
     -0x1.0ec3d6p-3f, -0x1.5f05bap-4f, -0x1.0c2b9cp-4f, -0x1.94bf4ap-5f, -0x1.3941d6p-5f, -0x1.e48942p-6f,
     -0x1.781524p-6f, -0x1.2555aep-6f},
    {0x1.3573b6p-8f, 0x1.75aba6p-9f, 0x1.c9745ep-10f, 0x1.1e7a1ep-10f, 0x1.7740bp-11f, 0x1.e3efap-12f,
     0x1.44da52p-12f, 0x1.c6f742p-13f, 0x1.f3a58ap-14f, 0x1.f239dp-15f, 0x1.05a4c8p-15f, 0x1.1f6fa6p-16f,
     0x1.46c6c8p-17f, 0x1.81074cp-18f, 0x1.e13aeep-19f, 0x1.1e15aap-19f, 0x1.39f268p-20f, 0x1.1ce6ap-21f,
     0x1.15ecep-22f, 0x1.10d15p-23f, 0x1.403a06p-24f, 0x1.899008p-25f, 0x1.b2d55ep-26f, 0x1.11cb52p-26f,
     0x1.c26d2ep-5f, 0x1.43bb6ap-5f, 0x1.d6980ep-6f, 0x1.65cbd8p-6f, 0x1.ea192ep-7f, 0x1.6bc5a2p-7f, 0x1.147e4ap-7f,
     0x1.ec18ap-8f},
};
#else
#define V_GELU_DEGREE 7
#define V_GELU_LOOKUP(row, y) vlookup8(v_gelu_tail[row], (vi)(y) >> 22) /* 1.0 has number 6 */
static const float v_gelu_tail[9][8] = {
    {0x1.79cp+0f, 0x1.3e54p+1f, 0x1.fc88p+1f, 0x1.7d9p+2f, 0x1.1fa8p+3f, 0x1.87acccp+3f, 0, 0x1.8368p-1f},
    {0x1.3a4bfp-2f, 0x1.6970ecp-2f, 0x1.8272bcp-2f, 0x1.8de104p-2f, 0x1.93a36ep-2f, 0x1.95d7cap-2f, 0, 0x1.cf764cp-3f},
    {0x1.27defcp-4f, 0x1.c42db6p-6f, 0x1.33040ep-7f, 0x1.a83d5ap-9f, 0x1.0c58bap-10f, 0x1.b6d94p-12f, 0x1p-1f,
     0x1.58fc32p-3f},
    {-0x1.3d2e34p-5f, -0x1.7de2cp-7f, -0x1.81518ap-9f, -0x1.840f56p-11f, -0x1.5639e6p-13f, -0x1.a36658p-15f,
     -0x1.98844p-2f, -0x1.be1c02p-4f},
    {0x1.17b8cp-6f, 0x1.0f34d8p-8f, 0x1.9f11bep-11f, 0x1.35271ap-13f, 0x1.7fe21ep-16f, 0x1.621dfep-18f,
     0x1.fffa1cp-3f, 0x1.d0f17cp-5f},
    {-0x1.b0c2fap-8f, -0x1.57c4acp-10f, -0x1.95023p-13f, -0x1.c4a506p-16f, -0x1.8e07fep-19f, -0x1.16a438p-21f,
     -0x1.100afep-3f, -0x1.a2e6b2p-6f},
    {0x1.30173p-9f, 0x1.90b746p-12f, 0x1.71bbp-15f, 0x1.38f2c4p-18f, 0x1.892faep-22f, 0x1.a1ad92p-25f, 0x1.f8a156p-5f,
     0x1.515772p-7f},
    {-0x1.9a4ab8p-11f, -0x1.c14facp-14f, -0x1.58dfeap-17f, -0x1.afc078p-21f, -0x1.a0c7aep-25f, -0x1.32dbdep-28f,
     -0x1.85057cp-6f, -0x1.f88de4p-9f},
    {0x1.dcea12p-13f, 0x1.c4c862p-16f, 0x1.147eep-19f, 0x1.08b22ep-23f, 0x1.86075cp-28f, 0x1.dd630cp-32f,
     0x1.74764ap-8f, 0x1.94456ep-10f},
};
#endif

/* x F(x) = max(x, 0) - e^(-t^2 / 2) W(t), t = |x|. */
INLINE vf v_gelu(vf x)
{
    /* t^2 = r - 2 n ln 2, q = e^(-r / 2) - 1: the coefficients are those of v_expm1_reduced times powers of -1/2. For
     * NaN t may be 13.24; the ramp is NaN. */
    vf t = vabs_atmost(x, 13.24f), k = vrounded(t * t) * vset(-0.5f * V_LOG2E) + vset(V_MAGIC_POW2(0));
    vf n = k - vset(V_MAGIC_POW2(0)), r = vmul_sub(t, t, n * vset(-2 * V_LN2_HIGH)) + n * vset(2 * V_LN2_LOW);
    vf q = r * V_POLY(r, -0.5f, 0x1.fffffcp-4f, -0x1.55549p-6f, 0x1.5558b6p-9f, -0x1.123b3cp-12f, 0x1.6a4ab6p-16f);

    vf y = t + vset(1), d = t - V_GELU_LOOKUP(0, y), p = V_GELU_LOOKUP(V_GELU_DEGREE + 1, y);
    UNROLL for (int i = V_GELU_DEGREE; i > 1; i--) p = p * d + V_GELU_LOOKUP(i, y);
#if VL == 16 /* in narrow intervals p * d is small, and so is what its rounding adds */
    vf w = p * d + V_GELU_LOOKUP(1, y), e = w * q + w;
#else
    vf low, w = vfma_low(p, d, V_GELU_LOOKUP(1, y), &low), e = (w * q + low) + w;
#endif
    vf ramp = vless(x, vset(0x1p-125f), vset(0), x); /* below, x and x / 2 would be on two sides of the least normal */
    return ramp - e * vpow2(k);
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
