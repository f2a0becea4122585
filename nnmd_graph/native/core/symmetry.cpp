// The native core behind a plain C interface: a plan once, then values, pullback and change of
// symmetry functions, or energy, forces and virial of nets on them.
//
// Every function returns a Status. Arrays are contiguous; the edges of a centre may stand anywhere
// among the others. What comes out for a centre depends on its own edges and their order only.
#include "sums.h"

namespace {

using namespace nnmd;

enum Status { DONE = 0, NOT_A_NUMBER = 1, NO_MEMORY = 2, OUTSIDE = 3 };

struct Outside {};  // an edge of an atom that is not there

// Edges of each centre, in their order: a table of contents
class Centres {
 public:
  Centres(const int64_t* neighbor, const int64_t* centre, int64_t num_edges, int64_t num_atoms,
          int64_t first, int64_t count)
      : first_(count + 1), edge_(num_edges) {
    for (int64_t e = 0; e < num_edges; ++e) {
      if (neighbor[e] < 0 || neighbor[e] >= num_atoms || centre[e] < first ||
          centre[e] >= first + count)
        throw Outside();
      ++first_[centre[e] - first + 1];
    }
    for (int64_t i = 0; i < count; ++i) first_[i + 1] += first_[i];
    std::vector<int64_t> next(first_.begin(), first_.end() - 1);
    for (int64_t e = 0; e < num_edges; ++e) edge_[next[centre[e] - first]++] = e;
  }
  const int64_t* edges(int64_t i) const { return edge_.data() + first_[i]; }
  int count(int64_t i) const { return int(first_[i + 1] - first_[i]); }

 private:
  std::vector<int64_t> first_, edge_;
};

// Atoms and edges as the caller has them; vectors, or what they follow from
template <class T>
struct Graph {
  const int64_t *neighbor, *centre, *element;
  int64_t num_edges, num_atoms;
  const T* vec = nullptr;                // [E, 3]; if it is not there:
  const T *pos = nullptr, *cell = nullptr;  // [N, 3], [B, 3, 3]
  const int64_t *shift = nullptr, *structure = nullptr;  // [E, 3], [N]

  // Vectors from centre i to its neighbours
  void vectors(int64_t i, const int64_t* edges, int count, T* out) const {
    if (vec || !pos) {  // an empty array may have no address
      for (int n = 0; n < count; ++n) std::copy(vec + 3 * edges[n], vec + 3 * edges[n] + 3, out + 3 * n);
      return;
    }
    const T *here = pos + 3 * i, *h = cell + 9 * structure[i];
    for (int n = 0; n < count; ++n) {
      const T* there = pos + 3 * neighbor[edges[n]];
      const int64_t* s = shift + 3 * edges[n];
      for (int c = 0; c < 3; ++c)
        out[3 * n + c] = (there[c] - here[c]) +
                         (T(s[0]) * h[c] + T(s[1]) * h[3 + c] + T(s[2]) * h[6 + c]);
    }
  }
};

template <class T>
Workspace<T>& workspace() {
  static thread_local Workspace<T> work;
  return work;
}

// Prepare rows and tables of the centres first .. first + count and call f(i, functions, workspace),
// i from zero.
template <class T, bool SLOPES, class F>
int for_centres(const Plan& plan, const Graph<T>& graph, int64_t first, int64_t count, F f) try {
  const Centres centres(graph.neighbor, graph.centre, graph.num_edges, graph.num_atoms, first, count);
  Workspace<T>& work = workspace<T>();
  std::vector<T> vec;
  for (int64_t i = 0; i < count; ++i) {
    const FunctionSet& set = plan.sets[plan.set_of[graph.element[first + i]]];
    vec.resize(3 * size_t(centres.count(i)));
    graph.vectors(first + i, centres.edges(i), centres.count(i), vec.data());
    const Neighbors<T> neighbors{centres.count(i), centres.edges(i), vec.data(), graph.neighbor,
                                 graph.element};
    if (!work.rows.fill(plan, set.farthest, neighbors)) return NOT_A_NUMBER;
    work.tables.template fill<SLOPES>(plan, set, work.rows);
    f(i, set, work);
  }
  return DONE;
} catch (const std::bad_alloc&) {
  return NO_MEMORY;
} catch (const Outside&) {
  return OUTSIDE;
}

template <class T>
void copy_row(const std::vector<double>& from, T* to) {
  for (size_t f = 0; f < from.size(); ++f) to[f] = T(from[f]);
}

// x [count, F], at the centres first .. first + count, which all edges are of
template <class T>
int values(const Plan& plan, const Graph<T>& graph, int64_t first, int64_t count, T* x) {
  std::vector<double> row(plan.num_features);
  return for_centres<T, false>(
      plan, graph, first, count, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
        std::fill(row.begin(), row.end(), 0.0);
        values_at<T, false>(set, work, row.data());
        copy_row<T>(row, x + i * plan.num_features);
      });
}

// dE/dvec [E, 3], zero before, of w = dE/dx [count, F]
template <class T>
int vjp(const Plan& plan, const Graph<T>& graph, int64_t first, int64_t count, const T* w,
        T* by_edge) {
  return for_centres<T, true>(
      plan, graph, first, count, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
        work.rows.clear_gradient();
        pullback_at<T>(set, w + i * plan.num_features, work);
        work.rows.for_gradient([&](int64_t edge, const T*, const T* g) {
          for (int c = 0; c < 3; ++c) by_edge[3 * edge + c] = g[c];
        });
      });
}

// dx [count, F] along a change u [E, 3] of vec
template <class T>
int jvp(const Plan& plan, const Graph<T>& graph, int64_t first, int64_t count, const T* u, T* dx) {
  std::vector<double> row(plan.num_features);
  return for_centres<T, true>(
      plan, graph, first, count, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
        std::fill(row.begin(), row.end(), 0.0);
        work.rows.take_change(u);
        change_at<T>(set, work, row.data());
        copy_row<T>(row, dx + i * plan.num_features);
      });
}

// x [N, F], energies of all atoms [N], and where they are wanted, forces [N, 3] and the virial
// sum_e vec dE/dvec of each atom's structure [B, 3, 3], both zero before
template <class T>
int evaluate(const Plan& plan, const Nets<T>& nets, const Graph<T>& graph, T* x, double* energy,
             T* forces, double* virial) {
  std::vector<double> row(plan.num_features);
  std::vector<T> w(plan.num_features);
  const auto atom = [&](int64_t i, const FunctionSet& set, Workspace<T>& work, auto keep) {
    T* mine = x + i * plan.num_features;
    std::fill(row.begin(), row.end(), 0.0);
    values_at<T, decltype(keep)::value>(set, work, row.data());
    copy_row<T>(row, mine);
    energy[i] = nets.of[graph.element[i]](mine, w.data(), work.net);
  };
  if (!forces)
    return for_centres<T, false>(plan, graph, 0, graph.num_atoms,
                                 [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
                                   atom(i, set, work, std::false_type{});
                                 });
  return for_centres<T, true>(
      plan, graph, 0, graph.num_atoms, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
        atom(i, set, work, std::true_type{});
        work.rows.clear_gradient();
        pullback_kept<T>(set, w.data(), work);
        double* to = virial ? virial + 9 * graph.structure[i] : nullptr;
        T total[3] = {0, 0, 0};
        work.rows.for_gradient([&](int64_t edge, const T* vec, const T* g) {
          T* there = forces + 3 * graph.neighbor[edge];
          for (int c = 0; c < 3; ++c) there[c] -= g[c], total[c] += g[c];
          for (int a = 0; to && a < 3; ++a)
            for (int c = 0; c < 3; ++c) to[3 * a + c] += double(vec[a]) * double(g[c]);
        });
        for (int c = 0; c < 3; ++c) forces[3 * i + c] += total[c];
      });
}

template <class Made, class... Arguments>
void* made(Arguments&&... arguments) try {
  return new Made(std::forward<Arguments>(arguments)...);
} catch (const std::exception&) {
  return nullptr;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int nnmd_interface() { return 2; }  // raised when anything here changes
EXPORT int nnmd_vector_bytes() { return NNMD_VECTOR_BYTES; }

// A plan, or null where the arrays are none
EXPORT void* nnmd_plan(const int64_t* ints, int64_t num_ints, const double* numbers,
                       int64_t num_numbers) {
  return made<Plan>(Reader(ints, num_ints, numbers, num_numbers));
}
EXPORT void nnmd_plan_free(void* plan) { delete static_cast<Plan*>(plan); }

#define GRAPH(T)                                                                                  \
  const void *plan, const T *vec, const int64_t *neighbor, const int64_t *centre,                 \
      const int64_t *element, int64_t num_edges, int64_t num_atoms, int64_t first, int64_t count
#define PASS                                                                                      \
  *static_cast<const Plan*>(plan), {neighbor, centre, element, num_edges, num_atoms, vec}, first, \
      count

#define OPERATIONS(T, SUFFIX)                                                                     \
  EXPORT int nnmd_values_##SUFFIX(GRAPH(T), T* x) { return values<T>(PASS, x); }                  \
  EXPORT int nnmd_vjp_##SUFFIX(GRAPH(T), const T* w, T* by_edge) {                                \
    return vjp<T>(PASS, w, by_edge);                                                              \
  }                                                                                               \
  EXPORT int nnmd_jvp_##SUFFIX(GRAPH(T), const T* u, T* dx) { return jvp<T>(PASS, u, dx); }       \
                                                                                                  \
  EXPORT void* nnmd_nets_##SUFFIX(const void* plan, const int64_t* ints, int64_t num_ints,        \
                                  const double* numbers, int64_t num_numbers) {                   \
    return made<Nets<T>>(Reader(ints, num_ints, numbers, num_numbers),                            \
                         *static_cast<const Plan*>(plan));                                        \
  }                                                                                               \
  EXPORT void nnmd_nets_free_##SUFFIX(void* nets) { delete static_cast<Nets<T>*>(nets); }         \
                                                                                                  \
  EXPORT int nnmd_evaluate_##SUFFIX(                                                              \
      const void* plan, const void* nets, const T* vec, const T* pos, const T* cell,              \
      const int64_t* shift, const int64_t* structure, const int64_t* neighbor,                    \
      const int64_t* centre, const int64_t* element, int64_t num_edges, int64_t num_atoms, T* x,  \
      double* energy, T* forces, double* virial) {                                                \
    const Graph<T> graph{neighbor,  centre, element, num_edges, num_atoms,                        \
                         vec,       pos,    cell,    shift,     structure};                       \
    return evaluate<T>(*static_cast<const Plan*>(plan), *static_cast<const Nets<T>*>(nets),       \
                       graph, x, energy, forces, virial);                                         \
  }

OPERATIONS(double, f64)
OPERATIONS(float, f32)
