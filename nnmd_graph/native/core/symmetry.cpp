// The native core behind a plain C interface: a plan once, then values, pullback and change of
// symmetry functions, or energy, forces and virial of nets on them.
//
// Every function returns a Status. Arrays are contiguous; the edges of a centre may stand anywhere
// among the others. What comes out for a centre depends on its own edges and their order only.
#include <atomic>
#include <mutex>
#include <thread>

#include "sums.h"

namespace {

using namespace nnmd;

enum Status { DONE = 0, NOT_A_NUMBER = 1, NO_MEMORY = 2, OUTSIDE = 3 };

struct Outside {};  // an edge of an atom that is not there

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

// Edges of each centre, in their order: a table of contents
class Centres {
 public:
  template <class T>
  Centres(const Graph<T>& graph, int64_t first, int64_t count)
      : first_(first), last_(first + count), begin_(count + 1), edge_(graph.num_edges) {
    for (int64_t e = 0; e < graph.num_edges; ++e) {
      const int64_t i = graph.centre[e], j = graph.neighbor[e];
      if (j < 0 || j >= graph.num_atoms || i < first || i >= last_) throw Outside();
      ++begin_[i - first + 1];
    }
    for (int64_t i = 0; i < count; ++i) begin_[i + 1] += begin_[i];
    std::vector<int64_t> next(begin_.begin(), begin_.end() - 1);
    for (int64_t e = 0; e < graph.num_edges; ++e) edge_[next[graph.centre[e] - first]++] = e;
  }

  int64_t start(int64_t i) const { return begin_[i - first_]; }
  const int64_t* edges(int64_t i) const { return edge_.data() + start(i); }
  int count(int64_t i) const { return int(start(i + 1) - start(i)); }

  // The centre before which those from `i` on have at most so many edges together, one at least
  int64_t end_of(int64_t i, int64_t most) const {
    int64_t end = i + 1;
    while (end < last_ && start(end + 1) - start(i) <= most) ++end;
    return end;
  }

 private:
  int64_t first_, last_;
  std::vector<int64_t> begin_, edge_;
};

// Workspaces that no thread uses; they are kept, so that memory is not asked for again and again.
template <class T>
class Workspaces {
 public:
  static Workspaces& all() {
    static Workspaces workspaces;
    return workspaces;
  }
  std::unique_ptr<Workspace<T>> take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::make_unique<Workspace<T>>();
    auto work = std::move(free_.back());
    free_.pop_back();
    return work;
  }
  void give(std::unique_ptr<Workspace<T>> work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(work));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace<T>>> free_;
};

constexpr int64_t TURN = 8;  // centres that a thread takes at a time

// Call work(begin, end, workspace) for parts of 0 .. count, on several threads if there is enough to do.
template <class T, class F>
Status on_threads(int64_t count, int num_threads, F work) {
  Workspaces<T>& workspaces = Workspaces<T>::all();
  std::atomic<int64_t> next{0};
  std::atomic<int> status{DONE};
  const auto run = [&] {
    try {
      auto own = workspaces.take();
      for (int64_t at; status == DONE && (at = next.fetch_add(TURN)) < count;) {
        const Status found = work(at, std::min(at + TURN, count), *own);
        if (found != DONE) status = found;
      }
      workspaces.give(std::move(own));
    } catch (const std::bad_alloc&) {
      status = NO_MEMORY;
    }
  };
  std::vector<std::thread> others;
  try {
    for (int n = 1; n < num_threads && n * 2 * TURN < count; ++n) others.emplace_back(run);
  } catch (const std::system_error&) {  // no more threads: those that there are do it
  }
  run();
  for (std::thread& other : others) other.join();
  return Status(status.load());
}

// Prepare rows and tables of the centres first .. first + count and call f(i, functions, workspace),
// i from zero, in any order.
template <class T, bool SLOPES, class F>
Status for_centres(const Plan& plan, const Graph<T>& graph, const Centres& centres, int64_t first,
                   int64_t count, int num_threads, F f) {
  return on_threads<T>(count, num_threads, [&](int64_t begin, int64_t end, Workspace<T>& work) {
    work.w.resize(plan.num_features);
    for (int64_t i = begin; i < end; ++i) {
      const FunctionSet& set = plan.sets[plan.set_of[graph.element[first + i]]];
      const int64_t* edges = centres.edges(first + i);
      const int num_edges = centres.count(first + i);
      work.vec.resize(3 * size_t(num_edges));
      graph.vectors(first + i, edges, num_edges, work.vec.data());
      const Neighbors<T> neighbors{num_edges, edges, work.vec.data(), graph.neighbor,
                                   graph.element};
      if (!work.rows.fill(plan, set.farthest, neighbors)) return NOT_A_NUMBER;
      work.tables.template fill<SLOPES>(plan, set, work.rows);
      work.x.assign(plan.num_features, 0.0);
      f(i, set, work);
    }
    return DONE;
  });
}

template <class F>
int guarded(F f) try {
  return f();
} catch (const std::bad_alloc&) {
  return NO_MEMORY;
} catch (const Outside&) {
  return OUTSIDE;
}

template <class T>
void copy_row(const std::vector<double>& from, T* to) {
  for (size_t f = 0; f < from.size(); ++f) to[f] = T(from[f]);
}

// Which centres, and on how many threads
struct Range {
  int64_t first, count;
  int num_threads;
};

template <class T, bool SLOPES, class F>
int for_range(const Plan& plan, const Graph<T>& graph, Range range, F f) {
  return guarded([&] {
    const Centres centres(graph, range.first, range.count);
    return for_centres<T, SLOPES>(plan, graph, centres, range.first, range.count,
                                  range.num_threads, f);
  });
}

// x [count, F], at the centres first .. first + count, which all edges are of
template <class T>
int values(const Plan& plan, const Graph<T>& graph, Range range, T* x) {
  return for_range<T, false>(plan, graph, range,
                             [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
                               values_at<T, false>(set, work, work.x.data());
                               copy_row<T>(work.x, x + i * plan.num_features);
                             });
}

// dE/dvec [E, 3], zero before, of w = dE/dx [count, F]
template <class T>
int vjp(const Plan& plan, const Graph<T>& graph, Range range, const T* w, T* by_edge) {
  return for_range<T, true>(
      plan, graph, range, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
        work.rows.clear_gradient();
        pullback_at<T>(set, w + i * plan.num_features, work);
        work.rows.for_gradient([&](int place, const T*, const T* g) {
          for (int c = 0; c < 3; ++c) by_edge[3 * work.rows.edge[place] + c] = g[c];
        });
      });
}

// dx [count, F] along a change u [E, 3] of vec
template <class T>
int jvp(const Plan& plan, const Graph<T>& graph, Range range, const T* u, T* dx) {
  return for_range<T, true>(plan, graph, range,
                            [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
                              work.rows.take_change(u);
                              change_at<T>(set, work, work.x.data());
                              copy_row<T>(work.x, dx + i * plan.num_features);
                            });
}

// x [count, F] and dx/dvec [E, 3, F], zero before
template <class T>
int jacobian(const Plan& plan, const Graph<T>& graph, Range range, T* x, T* by_edge) {
  const int num_features = plan.num_features;
  return for_range<T, true>(
      plan, graph, range, [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
        jacobian_at<T>(set, work, work.x.data(), [&](int place, int column, const T* g) {
          T* to = by_edge + 3 * work.rows.edge[place] * num_features + column;
          for (int c = 0; c < 3; ++c) to[c * num_features] += g[c];
        });
        copy_row<T>(work.x, x + i * num_features);
      });
}

// The derivatives of a few centres by their edges, until they are added to forces and virial: in the
// order of the edges, so that sums do not depend on the number of threads.
template <class T>
class Derivatives {
 public:
  static constexpr int64_t MAX_EDGES = 1 << 17;

  Derivatives(const Centres& centres, int64_t first, int64_t count)
      : centres_(centres), first_(first), count_(count), start_(centres.start(first)),
        by_edge_(3 * (centres.start(first + count) - start_)), virial_(9 * count) {}

  // The part of centre first + i, from its rows
  void take(int64_t i, const Rows<T>& rows) {
    T* mine = by_edge_.data() + 3 * (centres_.start(first_ + i) - start_);
    double* total = virial_.data() + 9 * i;
    rows.for_gradient([&](int place, const T* vec, const T* g) {
      T* to = mine + 3 * rows.number[place];
      for (int a = 0; a < 3; ++a) {
        to[a] = g[a];
        for (int c = 0; c < 3; ++c) total[3 * a + c] += double(vec[a]) * double(g[c]);
      }
    });
  }

  void add(const Graph<T>& graph, T* forces, double* virial) const {
    const T* g = by_edge_.data();
    for (int64_t i = first_; i < first_ + count_; ++i) {
      T* here = forces + 3 * i;
      const int64_t* edges = centres_.edges(i);
      for (int n = 0; n < centres_.count(i); ++n, g += 3) {
        T* there = forces + 3 * graph.neighbor[edges[n]];
        for (int c = 0; c < 3; ++c) here[c] += g[c], there[c] -= g[c];
      }
      for (int c = 0; virial && c < 9; ++c)
        virial[9 * graph.structure[i] + c] += virial_[9 * (i - first_) + c];
    }
  }

 private:
  const Centres& centres_;
  int64_t first_, count_, start_;
  std::vector<T> by_edge_;
  std::vector<double> virial_;
};

// x [N, F], energies of all atoms [N], and where they are wanted, forces [N, 3] and the virial
// sum_e vec dE/dvec of each structure [B, 3, 3], both zero before
template <class T>
int evaluate(const Plan& plan, const Nets<T>& nets, const Graph<T>& graph, int num_threads, T* x,
             double* energy, T* forces, double* virial) {
  const auto atom = [&](int64_t i, const FunctionSet& set, Workspace<T>& work, auto keep) {
    T* mine = x + i * plan.num_features;
    values_at<T, decltype(keep)::value>(set, work, work.x.data());
    copy_row<T>(work.x, mine);
    energy[i] = nets.of[graph.element[i]](mine, work.w.data(), work.net);
  };
  return guarded([&] {
    const Centres centres(graph, 0, graph.num_atoms);
    if (!forces)
      return for_centres<T, false>(plan, graph, centres, 0, graph.num_atoms, num_threads,
                                   [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
                                     atom(i, set, work, std::false_type{});
                                   });
    for (int64_t first = 0, end; first < graph.num_atoms; first = end) {
      end = centres.end_of(first, Derivatives<T>::MAX_EDGES);
      Derivatives<T> derivatives(centres, first, end - first);
      const Status status = for_centres<T, true>(
          plan, graph, centres, first, end - first, num_threads,
          [&](int64_t i, const FunctionSet& set, Workspace<T>& work) {
            atom(first + i, set, work, std::true_type{});
            work.rows.clear_gradient();
            pullback_kept<T>(set, work.w.data(), work);
            derivatives.take(i, work.rows);
          });
      if (status != DONE) return status;
      derivatives.add(graph, forces, virial);
    }
    return DONE;
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

EXPORT int nnmd_interface() { return 4; }  // raised when anything here changes
EXPORT int nnmd_vector_bytes() { return NNMD_VECTOR_BYTES; }

// A plan, or null where the arrays are none
EXPORT void* nnmd_plan(const int64_t* ints, int64_t num_ints, const double* numbers,
                       int64_t num_numbers) {
  return made<Plan>(Reader(ints, num_ints, numbers, num_numbers));
}
EXPORT void nnmd_plan_free(void* plan) { delete static_cast<Plan*>(plan); }

#define GRAPH(T)                                                                                  \
  const void *plan, const T *vec, const int64_t *neighbor, const int64_t *centre,                 \
      const int64_t *element, int64_t num_edges, int64_t num_atoms, int64_t first, int64_t count, \
      int num_threads
#define PASS                                                                                      \
  *static_cast<const Plan*>(plan), {neighbor, centre, element, num_edges, num_atoms, vec},        \
      Range { first, count, num_threads }

#define OPERATIONS(T, SUFFIX)                                                                     \
  EXPORT int nnmd_values_##SUFFIX(GRAPH(T), T* x) { return values<T>(PASS, x); }                  \
  EXPORT int nnmd_vjp_##SUFFIX(GRAPH(T), const T* w, T* by_edge) {                                \
    return vjp<T>(PASS, w, by_edge);                                                              \
  }                                                                                               \
  EXPORT int nnmd_jvp_##SUFFIX(GRAPH(T), const T* u, T* dx) { return jvp<T>(PASS, u, dx); }       \
  EXPORT int nnmd_jacobian_##SUFFIX(GRAPH(T), T* x, T* by_edge) {                                 \
    return jacobian<T>(PASS, x, by_edge);                                                         \
  }                                                                                               \
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
      const int64_t* centre, const int64_t* element, int64_t num_edges, int64_t num_atoms,        \
      int num_threads, T* x, double* energy, T* forces, double* virial) {                                                \
    const Graph<T> graph{neighbor,  centre, element, num_edges, num_atoms,                        \
                         vec,       pos,    cell,    shift,     structure};                       \
    return evaluate<T>(*static_cast<const Plan*>(plan), *static_cast<const Nets<T>*>(nets),       \
                       graph, num_threads, x, energy, forces, virial);                                         \
  }

OPERATIONS(double, f64)
OPERATIONS(float, f32)
