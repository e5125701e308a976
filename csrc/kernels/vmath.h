#define L1(name, e) INLINE vf name(vf x) { float t[VL]; vstore(t, x); for (int q = 0; q < VL; q++) { float x = t[q]; t[q] = e; } return vload(t); }
#define L2(name, e) INLINE vf name(vf x, vf y) { float t[VL], u[VL]; vstore(t, x); vstore(u, y); for (int q = 0; q < VL; q++) { float x = t[q], y = u[q]; t[q] = e; } return vload(t); }
INLINE vf v_exp(vf x)
{
    vf c = vmin(vmax(x, vset(-87.3f)), vset(88.7f)), n = vround(c * vset(1.44269504f));
    vf r = (c - n * vset(0.693359375f)) + n * vset(2.12194440e-4f);
    vf p = vset(1.9875691500e-4f);
    p = p * r + vset(1.3981999507e-3f); p = p * r + vset(8.3334519073e-3f); p = p * r + vset(4.1665795894e-2f);
    p = p * r + vset(1.6666665459e-1f); p = p * r + vset(5.0000001201e-1f); p = p * r * r + r + vset(1);
    vf s = (vf)((__builtin_convertvector(n, vi) + 127) << 23);
    return vsel(x < vset(-87.3f), vset(0), vsel(x > vset(88.72f), vset(INFINITY), p * s));
}
L1(v_log, logf(x)) L2(v_pow, powf(x, y)) L1(v_sign, x != x ? x : (float)((x > 0) - (x < 0))) L1(v_step, x > 0) L1(v_nan_or_zero, x != x ? x : 0)
L1(v_expm1, expm1f(x)) L1(v_gelu, x) L1(v_gelu_grad, x) L1(v_gelu_tanh, x) L1(v_gelu_tanh_grad, x) L1(v_silu, x) L1(v_silu_grad, x)
L1(v_sigmoid, 1/(1+expf(-x))) L1(v_tanh, tanhf(x)) L1(v_softplus, log1pf(expf(x)))
L2(v_huber, fabsf(x) < y ? 0.5f*x*x : y*(fabsf(x)-0.5f*y)) L2(v_smooth_l1, fabsf(x) < y ? 0.5f*x*x/y : fabsf(x)-0.5f*y) L2(v_smooth_l1_grad, fabsf(x) < y ? x/y : (x>0)-(x<0))
L2(v_bce, -(y*logf(x)+(1-y)*log1pf(-x))) L2(v_bce_grad, (x-y)/(x*(1-x))) L2(v_bce_logits, fmaxf(x,0)-x*y+log1pf(expf(-fabsf(x))))
