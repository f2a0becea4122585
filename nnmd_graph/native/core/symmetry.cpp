// Symmetry functions behind a plain C interface: a plan once, then values, pullback and change.
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

template <class T>
Workspace<T>& workspace() {
  static thread_local Workspace<T> work;
  return work;
}

// Prepare rows and tables of one centre after the other and call f(i, functions, workspace).
template <class T, bool SLOPES, class F>
int for_centres(const Plan& plan, const T* vec, const int64_t* neighbor, const int64_t* centre,
                const int64_t* element, int64_t num_edges, int64_t num_atoms, int64_t first,
                int64_t count, F f) try {
  const Centres centres(neighbor, centre, num_edges, num_atoms, first, count);
  const Edges<T> edges{vec, neighbor, element};
  Workspace<T>& work = workspace<T>();
  for (int64_t i = 0; i < count; ++i) {
    const FunctionSet& set = plan.sets[plan.set_of[element[first + i]]];
    if (!work.rows.fill(plan, set.farthest, edges, centres.edges(i), centres.count(i)))
      return NOT_A_NUMBER;
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

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#define GRAPH(T)                                                                              \
  const void *plan, const T *vec, const int64_t *neighbor, const int64_t *centre,             \
      const int64_t *element, int64_t num_edges, int64_t num_atoms, int64_t first,  \
      int64_t count
#define PASS *static_cast<const Plan*>(plan), vec, neighbor, centre, element, num_edges, num_atoms, first, count

EXPORT int nnmd_interface() { return 1; }  // raised when anything here changes
EXPORT int nnmd_vector_bytes() { return NNMD_VECTOR_BYTES; }

// A plan, or null where the arrays are none
EXPORT void* nnmd_plan(const int64_t* ints, int64_t num_ints, const double* numbers,
                       int64_t num_numbers) try {
  return new Plan(Reader(ints, num_ints, numbers, num_numbers));
} catch (const std::exception&) {
  return nullptr;
}

EXPORT void nnmd_plan_free(void* plan) { delete static_cast<Plan*>(plan); }

// x [count, F] of vec [E, 3], at the centres first .. first + count, which all edges are of
template <class T>
static int values(GRAPH(T), T* x) {
  const int num_features = static_cast<const Plan*>(plan)->num_features;
  std::vector<double> row(num_features);
  return for_centres<T, false>(PASS, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
    std::fill(row.begin(), row.end(), 0.0);
    values_at<T>(set, work, row.data());
    copy_row<T>(row, x + i * num_features);
  });
}

// dE/dvec [E, 3], zero before, of w = dE/dx [count, F]
template <class T>
static int vjp(GRAPH(T), const T* w, T* by_edge) {
  const int num_features = static_cast<const Plan*>(plan)->num_features;
  return for_centres<T, true>(PASS, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
    work.rows.clear_gradient();
    pullback_at<T>(set, w + i * num_features, work);
    work.rows.add_gradient_to(by_edge);
  });
}

// dx [count, F] along a change u [E, 3] of vec
template <class T>
static int jvp(GRAPH(T), const T* u, T* dx) {
  const int num_features = static_cast<const Plan*>(plan)->num_features;
  std::vector<double> row(num_features);
  return for_centres<T, true>(PASS, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
    std::fill(row.begin(), row.end(), 0.0);
    work.rows.take_change(u);
    change_at<T>(set, work, row.data());
    copy_row<T>(row, dx + i * num_features);
  });
}

#define OPERATIONS(T, SUFFIX)                                                                     \
  EXPORT int nnmd_values_##SUFFIX(GRAPH(T), T* x) {                                               \
    return values<T>(plan, vec, neighbor, centre, element, num_edges, num_atoms, first, count, x);              \
  }                                                                                               \
  EXPORT int nnmd_vjp_##SUFFIX(GRAPH(T), const T* w, T* by_edge) {                                \
    return vjp<T>(plan, vec, neighbor, centre, element, num_edges, num_atoms, first, count, w, by_edge);        \
  }                                                                                               \
  EXPORT int nnmd_jvp_##SUFFIX(GRAPH(T), const T* u, T* dx) {                                     \
    return jvp<T>(plan, vec, neighbor, centre, element, num_edges, num_atoms, first, count, u, dx);             \
  }

OPERATIONS(double, f64)
OPERATIONS(float, f32)
