// What a stack wants from Linux: memory, a clock, entropy, and a state that one process has at a time.
//
//     auto arena = hosted::Arena::map(Stack::arena_bytes(config));
//     auto stack = Stack::create(arena->bytes(), config, {.now = hosted::monotonic_now(),
//                                                         .entropy = hosted::entropy(), .arena_is_zeroed = true});
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <keepnet/hosted/main.hpp>
#include <keepnet/time.hpp>

namespace keepnet::hosted {

/// A descriptor that closes itself.
class Fd {
  public:
    explicit Fd(int fd = -1) : fd_(fd) {}
    ~Fd() { close(); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            close();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }

  private:
    void close();
    int fd_;
};

/// CLOCK_MONOTONIC.
Instant monotonic_now();
/// ns since 1970.
std::int64_t wall_clock_ns();
/// Bytes nobody can guess.
std::array<std::uint8_t, 32> entropy();

/// Zeroed memory for a stack, aligned to a page. What is not touched costs nothing.
class Arena {
  public:
    enum class OnFork : std::uint8_t { invalid = 0, inherited, left_out };
    static Result<Arena> map(std::size_t bytes, OnFork on_fork = OnFork::inherited);
    Arena(Arena&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Arena& operator=(Arena&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;
    ~Arena();
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  private:
    explicit Arena(std::span<std::byte> bytes) : bytes_(bytes) {}
    std::span<std::byte> bytes_{};
};

/// One process for a state: two would roll each other's peers back. A lock ends with the process, however that ends; one
/// that was just killed may hold it for a moment yet, so that a taken one is tried for a second. It belongs to the file
/// that the path leads to, by whatever name. `who`: what the other one is called if there is one.
/// A directory, made if it is missing.
Result<Fd> lock_directory(const std::string& path, const std::string& who = "process");
/// A file, made if it is missing, empty: beside a state that is replaced, not the state itself.
Result<Fd> lock_file(const std::string& path, const std::string& who = "process");

/// All of a file. A directory is none.
Result<std::vector<std::uint8_t>> read_file(const std::string& path);

/// SIGTERM and SIGINT come through the descriptor that this gives, from now on and for every thread made later.
Result<Fd> catch_termination();

/// Sleeps; false: a signal came.
bool pause_for(Duration time);

/// Tries again for a second: what a killed process held is free when its last thread is gone.
template <typename Try>
auto with_patience(Try attempt) {
    const auto give_up = monotonic_now() + seconds(1);
    for (;;) {
        if (auto result = attempt(); result || monotonic_now() > give_up) return result;
        (void)pause_for(milliseconds(10));
    }
}
}  // namespace keepnet::hosted
