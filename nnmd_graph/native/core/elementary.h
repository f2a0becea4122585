// Elementary functions of vectors, to a few units in the last place.
#pragma once

#include "vectors.h"

namespace nnmd {

constexpr double PI = 3.14159265358979323846;

// c[0] + c[1] x + c[2] x^2 + ...
template <class T, int N>
INLINE Vec<T> polynomial(Vec<T> x, const double (&c)[N]) {
  Vec<T> sum = all<T>(T(c[N - 1]));
#pragma GCC unroll 16
  for (int n = N - 2; n >= 0; --n) sum = sum * x + T(c[n]);
  return sum;
}

// exp(x) = 2^n exp(x - n ln 2); zero and infinity are not reached, the exponent is held in range.
//
// Added to 1.5 * 2^52 (2^23 in float32), a number loses its fraction, and its integer stands in the
// lowest bits: compilers must not reorder these sums (-fassociative-math).
INLINE Vec<double> exponential(Vec<double> x) {
  constexpr double c[] = {1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040,
                          1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800,
                          1.0 / 479001600};
  constexpr double magic = 6755399441055744.0;
  x = x < -708.0 ? all<double>(-708.0) : x;
  x = x > 709.0 ? all<double>(709.0) : x;
  const Vec<double> shifted = x * 1.4426950408889634074 + magic, n = shifted - magic;
  const Vec<double> rest = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  const Bits<double> power = ((Bits<double>)shifted + 1023) << 52;
  return polynomial<double>(rest, c) * (Vec<double>)power;
}

INLINE Vec<float> exponential(Vec<float> x) {
  constexpr double c[] = {1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040};
  constexpr float magic = 12582912.0f;
  x = x < -87.0f ? all<float>(-87.0f) : x;
  x = x > 88.0f ? all<float>(88.0f) : x;
  const Vec<float> shifted = x * 1.44269504f + magic, n = shifted - magic;
  const Vec<float> rest = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  const Bits<float> power = ((Bits<float>)shifted + 127) << 23;
  return polynomial<float>(rest, c) * (Vec<float>)power;
}

// sin(2t) and cos(2t) for t in [0, pi/4], without loss of digits where either vanishes
template <class T>
INLINE void sine_and_cosine_of_twice(Vec<T> t, Vec<T>& sine, Vec<T>& cosine) {
  constexpr double s[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                          1.0 / 6227020800.0, -1.0 / 1307674368000.0};
  constexpr double c[] = {1.0, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
                          1.0 / 479001600, -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
  const Vec<T> square = t * t;
  const Vec<T> sin_t = t * polynomial<T>(square, s), cos_t = polynomial<T>(square, c);
  sine = T(2) * sin_t * cos_t;
  cosine = (cos_t - sin_t) * (cos_t + sin_t);
}

// tanh(h) = 2 sinh(y) cosh(y) / (cosh(y)^2 + sinh(y)^2), y = h / 2, by their series, for h in [0, 1]
template <class T>
INLINE Vec<T> hyperbolic_tangent(Vec<T> h) {
  constexpr double s[] = {1.0, 1.0 / 6, 1.0 / 120, 1.0 / 5040, 1.0 / 362880, 1.0 / 39916800,
                          1.0 / 6227020800.0};
  constexpr double c[] = {1.0, 1.0 / 2, 1.0 / 24, 1.0 / 720, 1.0 / 40320, 1.0 / 3628800,
                          1.0 / 479001600};
  const Vec<T> y = T(0.5) * h, square = y * y;
  const Vec<T> sinh = y * polynomial<T>(square, s), cosh = polynomial<T>(square, c);
  return T(2) * sinh * cosh / (cosh * cosh + sinh * sinh);
}

// arccos(x) for |x| < 1: rational approximation of FreeBSD's msun (e_acos.c)
template <class T>
INLINE Vec<T> arc_cosine(Vec<T> x) {
  constexpr double p[] = {1.66666666666666657415e-01, -3.25565818622400915405e-01,
                          2.01212532134862925881e-01, -4.00555345006794114027e-02,
                          7.91534994289814532176e-04, 3.47933107596021167570e-05};
  constexpr double q[] = {1.0, -2.40339491173441421878e+00, 2.02094576023350569471e+00,
                          -6.88283971605453293030e-01, 7.70381505559019352791e-02};
  const Vec<T> size = x < T(0) ? -x : x;
  const Bits<T> steep = size > T(0.5);
  const Vec<T> z = steep ? T(0.5) * (T(1) - size) : x * x;
  const Vec<T> s = steep ? root<T>(z) : size;
  const Vec<T> arc_sine = s + s * z * polynomial<T>(z, p) / polynomial<T>(z, q);
  const Vec<T> of_size = steep ? T(2) * arc_sine : T(PI / 2) - arc_sine;
  return x < T(0) ? T(PI) - of_size : of_size;
}

}  // namespace nnmd
