/* Kernels that change images: p rows of n floats one behind the other; scale, shift and weight are one such row. */

/* y = gain y + offset, limited to 0 .. white; then times scale plus shift, unless these are null. NaN stays. */
static void image_levels(float *y, float gain, float offset, float white, const float *scale, const float *shift,
                         int64_t p, int64_t n)
{
    for (int64_t r = 0; r < p; r++, y += n)
        for (int64_t i = 0; i < n; i += VL) {
            vf v = vatmost(vatleast(vload(y + i) * vset(gain) + vset(offset), 0), white);
            if (scale) v = v * vload(scale + i) + vload(shift + i);
            if (i + VL <= n) vstore(y + i, v);
            else vstore_n(y + i, v, n - i);
        }
}

/* The sum of all y weight; rows are added up in double. */
static double image_dot(const float *y, const float *weight, int64_t p, int64_t n)
{
    double total = 0;
    for (int64_t r = 0; r < p; r++, y += n) {
        vf sum = vset(0);
        for (int64_t i = 0; i < n; i += VL) sum += vkeep(vload(y + i) * vload(weight + i), n - i);
        for (int i = 0; i < VL; i++) total += sum[i];
    }
    return total;
}

/* y = share x + (1 - share) z */
static void mix(float *y, const float *x, const float *z, float share, int64_t n)
{
    vf a = vset(share), b = vset(1 - share);
    for (int64_t i = 0; i < n; i += VL) {
        vf v = vload(x + i) * a + vload(z + i) * b;
        if (i + VL <= n) vstore(y + i, v);
        else vstore_n(y + i, v, n - i);
    }
}
