// A few threads that share the items of one loop. What an item computes may not depend on which thread runs it.
#pragma once
#include <cstdint>
#include <functional>

namespace elastix {

// Threads in use: ELASTIX_THREADS if it is a number from 1, else the CPUs this process may run on.
int thread_count();

// Calls work(begin, end) on parts of 0 … count, each at most `grain` long, in any order, and returns when all are done. Called from within
// `work` or from a second thread at the same time it runs on the caller alone. `work` must not throw.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& work);

}  // namespace elastix
