/* Moments of parts of an image; see moments.h. The same kernels as batch norm's own pass (norm.c): a part has a shift
 * near its mean, sums about that in float32, and parts are joined in double. */
#include <string.h>
#include "moments.h"
#include "kernels/kernels.h"

int nn_moments_start(nn_moments *m, int64_t parts)
{
    if (!m) return NN_OK;
    m->parts = parts;
    m->columns = (m->c + 15) / 16 * 16;
    m->bytes = (size_t)(3 * m->c) * sizeof(double) + (size_t)parts * sizeof(int64_t) +
               (size_t)(3 * parts * m->columns) * sizeof(float);
    char *memory = nn_alloc(m->bytes);
    if (!memory) return NN_NOMEM;
    m->total = (double *)memory;
    m->rows = (int64_t *)(m->total + 3 * m->c);
    m->sums = (float *)(m->rows + parts);
    memset(m->rows, 0, (size_t)parts * sizeof(int64_t));
    return NN_OK;
}

void nn_moments_add(nn_moments *m, const float *y, const nn_lines *l)
{
    float *sums = m->sums + 3 * l->part * m->columns + l->first;
    int64_t whole = l->line == l->pixels * m->c, lines = whole ? 1 : l->lines;
    int64_t pixels = l->pixels * (whole ? l->lines : 1);
    for (int64_t i = 0; i < lines; i++, y += l->line)
        nn_k->norm_moments(sums, m->columns, y + l->first, pixels, l->width, m->c, l->begins && i == 0);
    if (l->first == 0) m->rows[l->part] += lines * pixels;
}

void nn_moments_finish(nn_moments *m)
{
    if (!m) return;
    int64_t n = 0;
    for (int64_t k = 0; k < m->parts; n += m->rows[k++])
        nn_k->norm_join(m->total, m->sums + 3 * k * m->columns, m->columns, m->rows[k], m->c, k == 0);
    nn_k->norm_statistics(m->stats, m->stats + m->c, m->stats + 2 * m->c, m->total, n, m->c, m->c);
    nn_free(m->total, m->bytes);
}
