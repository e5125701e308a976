/* Sums for the gradient of batch norm, of parts of an image; see grad_sums.h. The same kernels as its own pass
 * (norm.c): a part's sums are float32, and parts are joined in double, in order. */
#include "grad_sums.h"
#include "kernels/kernels.h"

int nn_grad_sums_start(nn_grad_sums *s, int64_t parts)
{
    if (!s) return NN_OK;
    s->parts = parts;
    s->room = (s->c + 15) / 16 * 16;
    s->bytes = (size_t)(2 * parts * s->room) * sizeof(float);
    s->parts_sums = nn_alloc(s->bytes);
    return s->parts_sums ? NN_OK : NN_NOMEM;
}

void nn_grad_sums_add(nn_grad_sums *s, float *dy, int64_t at, const nn_lines *l)
{
    float *sums = s->parts_sums + 2 * l->part * s->room + l->first;
    const float *x = s->x + at + l->first, *y = s->y ? s->y + at + l->first : x;
    int mask = s->y ? NN_MASK_Y : s->relu ? NN_MASK_X : NN_MASK_NONE;
    int64_t whole = l->line == l->pixels * s->c, lines = whole ? 1 : l->lines;
    int64_t pixels = l->pixels * (whole ? l->lines : 1);
    for (int64_t i = 0; i < lines; i++, dy += l->line, x += l->line, y += l->line)
        nn_k->norm_grad_sums(sums, s->room, dy + l->first, dy + l->first, x, y, mask, s->columns + l->first,
                             s->columns_apart, pixels, l->width, s->c, l->begins && i == 0);
}

void nn_grad_sums_finish(nn_grad_sums *s)
{
    if (!s) return;
    for (int64_t k = 0; k < s->parts; k++)
        nn_k->norm_grad_join(s->total, s->parts_sums + 2 * k * s->room, s->room, s->c, k == 0);
    nn_free(s->parts_sums, s->bytes);
}
