// Neighbour rows: the neighbours of one centre as arrays, those of one element side by side.
//
//     | H H H H H . . . | O O . . |      a dot fills up to a multiple of the lanes: a neighbour
//       ^begin[0]         ^begin[1]      beyond every cutoff
//
// and, along them, the tables of radial factors that the sums share.
#pragma once

#include "radial.h"

namespace nnmd {

// What the rows of one centre are made from
template <class T>
struct Neighbors {
  int count;
  const int64_t* edge;      // [count], numbers of edges
  const T* vec;             // [count, 3], from the centre to the neighbour
  const int64_t* neighbor;  // [E], of all edges
  const int64_t* element;   // [N], of all atoms, local numbers
  int element_of(int n) const { return int(element[neighbor[edge[n]]]); }
};

template <class T>
struct Rows {
  static constexpr double FAR = 1e30;  // r^2 of nobody

  int size = 0;                     // with what fills up
  std::vector<int> begin, end;      // of each element; `end` without what fills up
  std::vector<int64_t> edge;        // of each place; -1: nobody
  std::vector<int> number;          // of that edge among those of the centre
  T *x, *y, *z, *r2, *r, *per_r;    // vec, |vec|^2, |vec|, 1 / |vec|
  T *gx, *gy, *gz, *along;          // dE/dvec = (gx, gy, gz) + along * vec
  T *ux, *uy, *uz, *u_dot_r;        // a change of vec, and its product with vec

  // Place the neighbours closer than `farthest`; false if a vector is not a number.
  bool fill(const Plan& plan, double farthest, const Neighbors<T>& in) {
    const T far2 = T(farthest * farthest);
    begin.assign(plan.num_elements, 0);
    end.assign(plan.num_elements, 0);
    bool numbers = true;
    for (int n = 0; n < in.count; ++n) {
      const T square = length2(in.vec + 3 * n);
      numbers &= square == square;
      if (square < far2) ++end[in.element_of(n)];
    }
    size = 0;
    for (int s = 0; s < plan.num_elements; ++s) {
      begin[s] = size;
      size += whole<T>(end[s]);
      end[s] = begin[s];
    }
    make_room();
    for (int n = 0; n < size; ++n) r2[n] = T(FAR), x[n] = y[n] = z[n] = 0, edge[n] = -1;
    for (int n = 0; n < in.count; ++n) {
      const T* v = in.vec + 3 * n;
      const T square = length2(v);
      if (!(square < far2)) continue;
      const int at = end[in.element_of(n)]++;
      x[at] = v[0], y[at] = v[1], z[at] = v[2], r2[at] = square;
      edge[at] = in.edge[n], number[at] = n;
    }
    for (int n = 0; n < size; n += lanes<T>) {
      const Vec<T> dist = root<T>(load<T>(r2 + n));
      store<T>(r + n, dist);
      store<T>(per_r + n, T(1) / dist);
    }
    return numbers;
  }

  void clear_gradient() {
    for (T* g : {gx, gy, gz, along}) std::fill(g, g + size, T(0));
  }

  // Call f(place, vec, dE/dvec) for each neighbour.
  template <class F>
  void for_gradient(F f) const {
    for (int n = 0; n < size; ++n) {
      if (edge[n] < 0) continue;
      const T vec[3] = {x[n], y[n], z[n]};
      const T g[3] = {gx[n] + along[n] * x[n], gy[n] + along[n] * y[n], gz[n] + along[n] * z[n]};
      f(n, vec, g);
    }
  }

  void take_change(const T* change) {  // [E, 3]
    const T zero[3] = {0, 0, 0};
    for (int n = 0; n < size; ++n) {
      const T* u = edge[n] < 0 ? zero : change + 3 * edge[n];
      ux[n] = u[0], uy[n] = u[1], uz[n] = u[2];
      u_dot_r[n] = u[0] * x[n] + u[1] * y[n] + u[2] * z[n];
    }
  }

 private:
  static T length2(const T* v) { return v[0] * v[0] + v[1] * v[1] + v[2] * v[2]; }

  void make_room() {
    const size_t stride = (size_t(size) + 15) / 16 * 16;
    T* p = memory_.room_for(14 * stride);
    for (T** a : {&x, &y, &z, &r2, &r, &per_r, &gx, &gy, &gz, &along, &ux, &uy, &uz, &u_dot_r})
      *a = p, p += stride;
    edge.resize(size);
    number.resize(size);
  }

  Array<T> memory_;
};

// rho and its slope over r of one table along the neighbours that it is of
template <class T>
struct Side {
  int begin, end;  // `end` with what fills up
  RadialFactors<T> rho;  // [B, stride], at the places of the row
};

template <class T>
class Tables {
 public:
  template <bool SLOPES>
  void fill(const Plan& plan, const FunctionSet& set, const Rows<T>& rows) {
    const size_t stride = (size_t(rows.size) + 15) / 16 * 16;
    size_t total = 0;
    for (const Table& t : set.tables) total += 2 * stride * set.sets[t.set].size();
    T* p = memory_.room_for(total);
    sides_.clear();
    for (const Table& t : set.tables) {
      const bool every = t.element < 0;
      const int begin = every ? 0 : rows.begin[t.element];
      const int end = every ? rows.size : begin + whole<T>(rows.end[t.element] - begin);
      const size_t length = stride * set.sets[t.set].size();
      Side<T> side{begin, end, {p, p + length, stride}};
      p += 2 * length;
      for (int at = begin; at < end; at += STRIP)
        radial_factors<T, SLOPES>(set.sets[t.set], rows.r + at, std::min(STRIP, end - at),
                          {side.rho.value + at, side.rho.slope + at, stride});
      if (every) weigh(plan, rows, side, set.sets[t.set].size());
      sides_.push_back(side);
    }
  }

  const Side<T>& operator[](int table) const { return sides_[table]; }

 private:
  static void weigh(const Plan& plan, const Rows<T>& rows, const Side<T>& side, int num_b) {
    for (int s = 0; s < plan.num_elements; ++s)
      for (int b = 0; b < num_b; ++b)
        for (int n = rows.begin[s]; n < rows.end[s]; ++n) {
          side.rho.value[b * side.rho.stride + n] *= T(plan.weights[s]);
          side.rho.slope[b * side.rho.stride + n] *= T(plan.weights[s]);
        }
  }

  Array<T> memory_;
  std::vector<Side<T>> sides_;
};

}  // namespace nnmd
