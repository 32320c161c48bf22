// Which of the addon's builds this CPU (and its operating system) can run, the fastest first.
#pragma once
#include <vector>

inline std::vector<const char *> instructionSetsOfThisCpu() {
  std::vector<const char *> sets;
#if defined(__x86_64__)
  // What the builds are compiled for, in build/recipe.ts, and no more.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) sets.push_back("avx512");
  if (avx2) sets.push_back("avx2");
#elif defined(__aarch64__)
  sets.push_back("neon");
#endif
#if !defined(__aarch64__)
  sets.push_back("baseline");
#endif
  return sets;
}
