// Between two parts of a step a thread waits a few microseconds: it spins that long, then sleeps. Spinning is bounded,
// so an idle engine costs nothing and a machine with more threads than cores still makes progress.
#include "thread-pool.h"
#include <chrono>

namespace {

constexpr auto SPIN_TIME = std::chrono::microseconds(20);

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `done` came true within the time to spin.
template <class Done> bool spinUntil(Done done) {
  const auto end = std::chrono::steady_clock::now() + SPIN_TIME;
  do {
    for (int i = 0; i < 32; i++) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

} // namespace

// Delegates, so that the destructor ends the threads already started if one cannot be.
ThreadPool::ThreadPool(int threads) : ThreadPool() {
  for (int thread = 1; thread < threads; thread++) helpers_.emplace_back([this, thread] { help(thread); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    generation_++;
  }
  started_.notify_all();
  for (std::thread &helper : helpers_) helper.join();
}

void ThreadPool::start(Call call) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    call_ = call;
    busy_ = (int)helpers_.size();
    generation_++;
  }
  started_.notify_all();
}

void ThreadPool::finish() {
  const auto done = [this] { return busy_ == 0; };
  if (spinUntil(done)) return;
  std::unique_lock<std::mutex> lock(mutex_);
  finished_.wait(lock, done);
}

void ThreadPool::help(int thread) {
  for (int seen = 0;;) {
    const auto changed = [&] { return generation_ != seen; };
    if (!spinUntil(changed)) {
      std::unique_lock<std::mutex> lock(mutex_);
      started_.wait(lock, changed);
    }
    seen = generation_;
    if (stopping_) return;
    call_.invoke(call_.work, thread, threads());
    if (--busy_ == 0) {
      // The lock orders this notice after the waiter's look at busy_, else it could be lost.
      const std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }
}
