// Threads that are kept for an engine's life. `run` is called by the thread that has the work; it takes part itself.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

class ThreadPool {
public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  int threads() const { return (int)helpers_.size() + 1; }

  // Calls work(thread, threads) on every thread at once and returns when all are done.
  template <class Work> void run(const Work &work) {
    if (helpers_.empty()) return work(0, 1);
    start({&work, [](const void *w, int thread, int threads) { (*(const Work *)w)(thread, threads); }});
    work(0, threads());
    finish();
  }

private:
  ThreadPool() = default;
  struct Call {
    const void *work;
    void (*invoke)(const void *work, int thread, int threads);
  };
  void start(Call call);
  void finish();
  void help(int thread);

  std::vector<std::thread> helpers_;
  Call call_ = {};
  std::atomic<int> generation_{0}, busy_{0};
  bool stopping_ = false;
  std::mutex mutex_;
  std::condition_variable started_, finished_;
};

// The part of 0..count that is `thread`'s.
struct Range {
  int first, last;
};
inline Range rangeOf(int count, int thread, int threads) {
  return {(int)((long long)count * thread / threads), (int)((long long)count * (thread + 1) / threads)};
}
