/* Functions of one array, for other drivers: y <- x as in the op unary; y and x may be the same memory. */
#ifndef ELEMENTWISE_H
#define ELEMENTWISE_H
#include "nn.h"

int nn_op_unary(const nn_call *c);
#endif
