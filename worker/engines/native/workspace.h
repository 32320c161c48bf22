// Memory for an engine's life: aligned for vectors and touched when handed out, so a step meets no fresh page.
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

class Workspace {
public:
  // `count` zeroed elements, at least one.
  template <class T> T *allocate(size_t count) {
    constexpr size_t HUGE_PAGE = 2 << 20;
    const size_t bytes = count * sizeof(T) + 1, alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void *memory = std::aligned_alloc(alignment, rounded);
    if (!memory) throw std::bad_alloc();
    blocks_.emplace_back(memory, std::free);
#if defined(__linux__)
    // Fewer misses of the address cache when megabytes stream by. A hint: its failure changes nothing.
    if (alignment == HUGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE);
#endif
    std::memset(memory, 0, rounded);
    return (T *)memory;
  }

private:
  std::vector<std::unique_ptr<void, void (*)(void *)>> blocks_;
};
