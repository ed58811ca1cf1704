// The thin Linux shell around the stack and the server: polls, sleeps, asks for snapshots, suspends on
// SIGTERM.
#pragma once

#include <expected>
#include <string>

#include <keepnet/checkpoint.hpp>
#include <keepnet/stack.hpp>

#include "logic/server.hpp"

namespace http_server {

/// A descriptor that closes itself.
class Fd {
  public:
    explicit Fd(int fd = -1) : fd_(fd) {}
    ~Fd();
    Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_;
};

struct EventLoopConfig {
    int device_fd = -1;  ///< readable when the device has frames
    keepnet::Duration snapshot_interval = keepnet::milliseconds(4);
    keepnet::Duration suspend_max = keepnet::seconds(10);  ///< then it ends without
};

/// CLOCK_MONOTONIC.
keepnet::Instant clock_now();

/// SIGTERM and SIGINT come through the descriptor this gives, from now on and for every thread made later.
std::expected<Fd, std::string> catch_termination();

/// Runs until SIGTERM or SIGINT (`signals`), then suspends in order. An error: it ended without that.
std::expected<void, std::string> run_event_loop(keepnet::Stack& stack, Server& server,
                                                keepnet::checkpoint::SnapshotStore& store, const Fd& signals,
                                                const EventLoopConfig& config);

}  // namespace http_server
