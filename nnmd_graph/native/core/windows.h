// Cutoff functions f_c and compact windows C: smooth steps from one to zero, with derivatives.
//
// The same functions as nn/cutoff.py and window() of the symmetry functions in the package, where
// their sources are.
#pragma once

#include "elementary.h"

namespace nnmd {

enum Cutoff {  // numbers that the plan has
  HARD = 0, COSINE = 1, TANH3 = 2, TANH3_NORMALIZED = 3, BUMP = 4,
  STEP1 = 5, STEP2 = 6, STEP3 = 7, STEP4 = 8
};

template <class T>
struct Slope {
  Vec<T> value, slope;
};

// (1 - x)^(n+1) sum_k binom(n + k, k) x^k and its derivative by x, for x in [0, 1]
template <class T, int N>
INLINE Slope<T> smooth_step(Vec<T> x) {
  constexpr double c[] = {1.0, N + 1.0, (N + 1.0) * (N + 2) / 2,
                          (N + 1.0) * (N + 2) * (N + 3) / 6,
                          (N + 1.0) * (N + 2) * (N + 3) * (N + 4) / 24};
  constexpr double factor[] = {0.0, 6.0, 30.0, 140.0, 630.0};  // (2n + 1)! / n!^2
  const Vec<T> rest = T(1) - x;
  Vec<T> series = all<T>(T(c[N])), power = rest, both = x * rest;
  for (int k = N - 1; k >= 0; --k) series = series * x + T(c[k]);
  Vec<T> slope = T(-factor[N]) * both;
  for (int k = 1; k < N; ++k) power *= rest, slope *= both;
  return {power * rest * series, slope};
}

// exp(1 - 1 / (1 - x^2)) and its derivative; every derivative vanishes at one
template <class T>
INLINE Slope<T> bump(Vec<T> x) {
  const Vec<T> rest = T(1) - x * x, zero{};
  const Bits<T> there = rest > T(1e-3);
  const Vec<T> safe = there ? rest : all<T>(T(1e-3));
  const Vec<T> value = there ? exponential(T(1) - T(1) / safe) : zero;
  return {value, T(-2) * x / (safe * safe) * value};
}

// A core by its number: BUMP or a smooth step
template <class T, int KIND>
INLINE Slope<T> core(Vec<T> x) {
  if constexpr (KIND == BUMP) return bump<T>(x);
  else return smooth_step<T, KIND - STEP1 + 1>(x);
}

template <class T, int KIND>
INLINE Slope<T> step(Vec<T> x) {
  if constexpr (KIND == COSINE) {  // (cos(pi x) + 1) / 2 = sin^2(pi (1 - x) / 2)
    Vec<T> sine, cosine;
    sine_and_cosine_of_twice<T>(T(PI / 4) * (T(1) - x), sine, cosine);
    return {sine * sine, T(-PI) * sine * cosine};
  } else if constexpr (KIND == TANH3 || KIND == TANH3_NORMALIZED) {
    constexpr double most = 0.76159415595576488812;  // tanh(1)
    const T scale = KIND == TANH3 ? T(1) : T(1.0 / (most * most * most));
    const Vec<T> t = hyperbolic_tangent<T>(T(1) - x), square = t * t;
    return {scale * square * t, T(-3) * scale * square * (T(1) - square)};
  } else {
    return core<T, KIND>(x);
  }
}

// f_c and df_c/dr of n distances
template <class T, int KIND>
void cutoff_values(const T* r, int n, double inner, double radius, T* value, T* slope) {
  const T begin = T(inner * radius), per_width = T(1.0 / (radius * (1.0 - inner)));
  const Vec<T> zero{}, one = all<T>(1);
  for (int i = 0; i < n; i += lanes<T>) {
    const Vec<T> dist = load<T>(r + i);
    if constexpr (KIND == HARD) {
      store<T>(value + i, dist < T(radius) ? one : zero);
      store<T>(slope + i, zero);
    } else {
      Vec<T> x = (dist - begin) * per_width;
      x = x < zero ? zero : x;
      x = x > one ? one : x;
      const Slope<T> f = step<T, KIND>(x);
      store<T>(value + i, f.value);
      store<T>(slope + i, f.slope * per_width);
    }
  }
}

template <class T>
void cutoff_values(int kind, const T* r, int n, double inner, double radius, T* value, T* slope) {
  switch (kind) {
    case HARD: return cutoff_values<T, HARD>(r, n, inner, radius, value, slope);
    case COSINE: return cutoff_values<T, COSINE>(r, n, inner, radius, value, slope);
    case TANH3: return cutoff_values<T, TANH3>(r, n, inner, radius, value, slope);
    case TANH3_NORMALIZED:
      return cutoff_values<T, TANH3_NORMALIZED>(r, n, inner, radius, value, slope);
    case BUMP: return cutoff_values<T, BUMP>(r, n, inner, radius, value, slope);
    case STEP1: return cutoff_values<T, STEP1>(r, n, inner, radius, value, slope);
    case STEP2: return cutoff_values<T, STEP2>(r, n, inner, radius, value, slope);
    case STEP3: return cutoff_values<T, STEP3>(r, n, inner, radius, value, slope);
    default: return cutoff_values<T, STEP4>(r, n, inner, radius, value, slope);
  }
}

// A window C(x; low, high) = f(u), u = |x - c| / w, zero outside; asymmetric ones f(u (2 - u))
struct Window {
  int core;
  bool asymmetric;
  double low, high;
};

template <class T, int KIND>
INLINE Slope<T> window(Vec<T> x, const Window& w) {
  const T centre = T(0.5 * (w.low + w.high)), per_width = T(2.0 / (w.high - w.low));
  const Vec<T> from_centre = x - centre, one = all<T>(1);
  const Bits<T> below = from_centre < T(0);
  const Bits<T> inside = (x > T(w.low)) & (x < T(w.high));
  Vec<T> u = (below ? -from_centre : from_centre) * per_width;
  u = inside ? u : one;
  Vec<T> factor = below ? all<T>(-per_width) : all<T>(per_width);
  if (w.asymmetric) {
    factor *= T(2) * (T(1) - u);
    u = u * (T(2) - u);
  }
  const Slope<T> f = core<T, KIND>(u);
  return {f.value, f.slope * factor};
}

// Call f(std::integral_constant) for the number of a core, so that loops are made for each.
template <class F>
INLINE void for_core(int kind, F f) {
  switch (kind) {
    case BUMP: return f(std::integral_constant<int, BUMP>{});
    case STEP1: return f(std::integral_constant<int, STEP1>{});
    case STEP2: return f(std::integral_constant<int, STEP2>{});
    case STEP3: return f(std::integral_constant<int, STEP3>{});
    default: return f(std::integral_constant<int, STEP4>{});
  }
}

}  // namespace nnmd
