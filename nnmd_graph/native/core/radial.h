// Factors of distances: values rho_b(r) and slopes (1/r) d rho_b / dr of a set of radial functions.
//
// The slope over r multiplies an edge vector as it is: d rho / d r_ij = slope * vec.
#pragma once

#include "plan.h"

namespace nnmd {

constexpr int STRIP = 256;  // numbers in an array that is worked on at a time: first-level cache

// Arrays [B, stride] over n <= STRIP distances.
template <class T>
struct RadialFactors {
  T* value;
  T* slope;
  size_t stride;
};

template <class T>
INLINE Vec<T> to_power(Vec<T> x, int n) {
  Vec<T> result = all<T>(1);
  for (; n > 1; n /= 2) {
    if (n % 2) result *= x;
    x *= x;
  }
  return result * x;
}

// f_c and what slopes need of it, at the distances r
template <class T>
struct Envelope {
  alignas(64) T f[STRIP], df_per_r[STRIP], per_r[STRIP];
};

template <class T, bool SLOPES>
void gaussians(const RadialSet& set, const T* r, int n, const Envelope<T>& fc,
               RadialFactors<T> out) {
  alignas(64) T bell[STRIP];
  const auto one = [&](int b, auto bell_at) {  // multiplies the envelope to a Gaussian
    const T two_eta = T(2 * set.functions[b].eta), r_s = T(set.functions[b].r_s);
    T *value = out.value + b * out.stride, *slope = out.slope + b * out.stride;
    for (int i = 0; i < n; i += lanes<T>) {
      const Vec<T> x = load<T>(r + i) - r_s, g = bell_at(i, x), f = load<T>(fc.f + i);
      store<T>(value + i, g * f);
      if constexpr (SLOPES) {  // -2 eta (r - r_s) / r of the exponent
        const Vec<T> pull = r_s == 0 ? all(two_eta) : two_eta * x * load<T>(fc.per_r + i);
        store<T>(slope + i, g * (load<T>(fc.df_per_r + i) - pull * f));
      }
    }
  };
  for (int b = 0; b < set.size(); ++b) {
    if (set.functions[b].base >= 0) continue;
    const T minus_eta = T(-set.functions[b].eta);
    one(b, [&](int i, Vec<T> x) {
      const Vec<T> g = exponential(minus_eta * (x * x));
      store<T>(bell + i, g);
      return g;
    });
    for (int c = 0; c < set.size(); ++c)
      if (set.functions[c].base == b)
        one(c, [&](int i, Vec<T>) { return to_power<T>(load<T>(bell + i), set.functions[c].ratio); });
  }
}

template <class T>
void waves(const RadialSet& set, const T* r, int n, const Envelope<T>& fc, RadialFactors<T> out) {
  for (int b = 0; b < set.size(); ++b)
    for (int i = 0; i < n; ++i) {
      const T kappa = T(set.functions[b].kappa), cosine = std::cos(kappa * r[i]);
      out.value[b * out.stride + i] = cosine * fc.f[i];
      out.slope[b * out.stride + i] =
          cosine * fc.df_per_r[i] - kappa * std::sin(kappa * r[i]) * fc.f[i] * fc.per_r[i];
    }
}

template <class T>
void radial_windows(const RadialSet& set, const T* r, int n, RadialFactors<T> out) {
  for (int b = 0; b < set.size(); ++b) {
    const Window& w = set.functions[b].window;
    for_core(w.core, [&](auto kind) {
      for (int i = 0; i < n; i += lanes<T>) {
        const Vec<T> dist = load<T>(r + i);
        const Slope<T> c = window<T, decltype(kind)::value>(dist, w);
        store<T>(out.value + b * out.stride + i, c.value);
        store<T>(out.slope + b * out.stride + i, c.slope / dist);
      }
    });
  }
}

// Values, and slopes where they are wanted, at n <= STRIP distances, n a multiple of the lanes
template <class T, bool SLOPES>
void radial_factors(const RadialSet& set, const T* r, int n, RadialFactors<T> out) {
  if (set.kind == RADIAL_WINDOW) return radial_windows<T>(set, r, n, out);
  Envelope<T> fc;
  cutoff_values<T>(set.cutoff_function, r, n, set.inner, set.cutoff, fc.f, fc.df_per_r);
  if (SLOPES)
    for (int i = 0; i < n; i += lanes<T>) {
      const Vec<T> per_r = T(1) / load<T>(r + i);
      store<T>(fc.per_r + i, per_r);
      store<T>(fc.df_per_r + i, load<T>(fc.df_per_r + i) * per_r);
    }
  if (set.kind == WAVE) return waves<T>(set, r, n, fc, out);
  gaussians<T, SLOPES>(set, r, n, fc, out);
}

}  // namespace nnmd
