// What happened, in order: a hash over all of it (same seed, same hash), and the last events for people to
// read.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <keepnet/bytes.hpp>
#include <keepnet/time.hpp>

namespace keepnet::sim {

/// A property that did not hold.
struct Failure : std::runtime_error {
    Failure(std::string property_, const std::string& detail)
        : std::runtime_error(detail), property(std::move(property_)) {}
    std::string property;
};

enum class What : std::uint8_t {
    boot,
    restored,
    attached,
    crash,
    ready,
    polled,
    frame_sent,
    frame_lost,
    frame_damaged,
    frame_arrived,
    cut,
    encoded,
    overrun,
    abandoned,
    durable,
    committed,
    suspend,
    opened,
    accepted,
    transferred,
    handled,
    wrote,
    shut,
    closed,
    aborted,
    reset,
    faults_over,
    all_done,
    replay,
    replayed,
    journal_write,
    journal_durable,
    journal_failed,
    card,
};

class Trace {
  public:
    bool verbose = false;
    /// Writes what is sent to a capture file, with nanoseconds. Throws when it cannot.
    void capture(const std::string& path);

    /// `who`: the host.
    void add(Instant t, unsigned who, What what, std::uint64_t a = 0, std::uint64_t b = 0,
             std::uint64_t c = 0);
    void frame(Instant t, unsigned who, What what, ByteView bytes);
    [[nodiscard]] std::uint64_t hash() const { return hash_; }
    [[nodiscard]] std::uint64_t events() const { return count_; }
    /// The last events, one a line.
    [[nodiscard]] std::string tail() const;

  private:
    struct Event {
        Instant t{};
        std::uint8_t who = 0;
        What what = What::boot;
        std::uint64_t a = 0, b = 0, c = 0;
        std::uint16_t frame_bytes = 0;
        std::array<std::uint8_t, 128> head{};
    };
    Event& next(Instant t, unsigned who, What what);
    void mix(std::uint64_t v);
    [[nodiscard]] static std::string text(const Event& e);
    void write_capture(Instant t, ByteView bytes);

    static constexpr std::size_t kept = 160;
    std::array<Event, kept> ring_{};
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> capture_{nullptr, std::fclose};
    std::uint64_t count_ = 0;
    std::uint64_t hash_ = 0xcbf2'9ce4'8422'2325U;
};

}  // namespace keepnet::sim
