// Factors of the angle: arrays of A_a(cos theta) and dA_a / d cos theta over the pairs of a strip.
#pragma once

#include <limits>

#include "radial.h"

namespace nnmd {

// [num_arrays, STRIP], see AngularSet; without SLOPES those of values only, which come first
template <class T, bool SLOPES>
void angular_factors(const AngularSet& set, const T* cos, int n, T* arrays) {
  const auto array = [&](int number) { return arrays + size_t(number) * STRIP; };
  for (int i = 0; i < n; i += lanes<T>) store<T>(array(0) + i, all<T>(1));
  for (const auto& [lam, to] : set.bases) {
    const T half_lam = T(0.5 * lam);
    for (int i = 0; i < n; i += lanes<T>)
      store<T>(array(to) + i, T(0.5) + half_lam * load<T>(cos + i));
  }
  const auto end = SLOPES ? set.products.end() : set.products.begin() + set.products_of_values;
  for (auto p = set.products.begin(); p != end; ++p) {
    const T *one = array(p->one), *other = array(p->other);
    T* to = array(p->to);
    for (int i = 0; i < n; i += lanes<T>) store<T>(to + i, load<T>(one + i) * load<T>(other + i));
  }
  for (const auto& p : set.powers) {
    const T* base = array(p.base);  // rounding may leave -1e-16 at 180 degrees
    for (int i = 0; i < n; ++i)
      array(p.to)[i] = base[i] > 0 ? std::pow(base[i], T(p.exponent)) : T(0);
  }
  if (set.angles.empty()) return;
  alignas(64) T theta[STRIP], minus_per_sine[STRIP];
  const T straight = T(1) - T(4) * std::numeric_limits<T>::epsilon();
  for (int i = 0; i < n; i += lanes<T>) {
    const Vec<T> c = load<T>(cos + i), size = c < T(0) ? -c : c;
    const Vec<T> safe = size < straight ? c : Vec<T>{};
    store<T>(theta + i, arc_cosine<T>(safe));
    store<T>(minus_per_sine + i, T(-1) / root<T>((T(1) - safe) * (T(1) + safe)));
  }
  for (const auto& angle : set.angles)
    for_core(angle.window.core, [&](auto kind) {
      for (int i = 0; i < n; i += lanes<T>) {
        const Vec<T> c = load<T>(cos + i), size = c < T(0) ? -c : c, zero{};
        const Bits<T> bent = size < straight;  // straight lines do not count, as in n2p2
        const Slope<T> f = window<T, decltype(kind)::value>(load<T>(theta + i), angle.window);
        store<T>(array(angle.value) + i, bent ? f.value : zero);
        store<T>(array(angle.slope) + i, bent ? f.slope * load<T>(minus_per_sine + i) : zero);
      }
    });
}

}  // namespace nnmd
