// All running timers of a stack, one for each timer number, in a binary heap. Derived: rebuilt from the deadlines in
// the state. Timers come out by (deadline, number), whatever the order in which they went in, so a restored run fires
// them as the original would. Moving a deadline away costs nothing until the old one is reached.
#pragma once

#include <cstdint>

#include <keepnet/assert.hpp>
#include <keepnet/time.hpp>

#include "base/arena.hpp"

namespace keepnet {

class DeadlineQueue {
  public:
    void place(ArenaCarver& carver, std::uint32_t timers) {
        timers_ = timers;
        size_ = carver.take<std::uint32_t>(1);
        heap_ = carver.take<Entry>(timers);
        want_ = carver.take<Want>(timers);
    }
    /// No timer runs.
    void clear() {
        for (std::uint32_t i = 0; i < *size_; ++i) want_[heap_[i].timer].place = 0;
        *size_ = 0;
    }

    /// The same, whatever the memory holds. For attach.
    void reset() {
        for (std::uint32_t i = 0; i < timers_; ++i) want_[i].place = 0;
        *size_ = 0;
    }

    /// `never` stops the timer.
    void schedule(std::uint32_t timer, Deadline deadline) {
        KEEPNET_ASSERT(timer < timers_);
        Want& want = want_[timer];
        want.deadline = deadline;
        if (want.place == 0) {
            if (deadline == never) return;
            heap_[*size_] = {deadline, timer};
            want.place = ++*size_;
            sift_up(want.place - 1);
        } else if (deadline < heap_[want.place - 1].deadline) {
            heap_[want.place - 1].deadline = deadline;
            sift_up(want.place - 1);
        }
    }
    /// The earliest deadline; `never` when no timer runs.
    Deadline next() {
        settle();
        return *size_ == 0 ? never : heap_[0].deadline;
    }
    static constexpr std::uint32_t none = 0xffff'ffff;
    /// Stops and gives the first timer whose deadline is not after `now`, or none.
    std::uint32_t take_expired(Instant now) {
        settle();
        if (*size_ == 0 || heap_[0].deadline > now) return none;
        const std::uint32_t timer = heap_[0].timer;
        remove_top();
        return timer;
    }

  private:
    struct Entry {
        Deadline deadline;
        std::uint32_t timer;
    };
    struct Want {
        Deadline deadline;
        std::uint32_t place;  ///< 1 + index in the heap; 0: not in it
    };

    static bool comes_first(const Entry& a, const Entry& b) {
        return a.deadline != b.deadline ? a.deadline < b.deadline : a.timer < b.timer;
    }
    /// Until the top stands where its timer really wants to be.
    void settle() {
        while (*size_ != 0) {
            const Want& want = want_[heap_[0].timer];
            if (want.deadline == heap_[0].deadline) return;
            if (want.deadline == never) {
                remove_top();
            } else {
                heap_[0].deadline = want.deadline;
                sift_down(0);
            }
        }
    }
    void remove_top() {
        want_[heap_[0].timer].place = 0;
        const Entry last = heap_[--*size_];
        if (*size_ == 0) return;
        put(0, last);
        sift_down(0);
    }
    void put(std::uint32_t i, const Entry& entry) {
        heap_[i] = entry;
        want_[entry.timer].place = i + 1;
    }
    void sift_up(std::uint32_t i) {
        const Entry entry = heap_[i];
        while (i > 0 && comes_first(entry, heap_[(i - 1) / 2])) {
            put(i, heap_[(i - 1) / 2]);
            i = (i - 1) / 2;
        }
        put(i, entry);
    }
    void sift_down(std::uint32_t i) {
        const Entry entry = heap_[i];
        for (;;) {
            std::uint32_t child = 2 * i + 1;
            if (child >= *size_) break;
            if (child + 1 < *size_ && comes_first(heap_[child + 1], heap_[child])) ++child;
            if (!comes_first(heap_[child], entry)) break;
            put(i, heap_[child]);
            i = child;
        }
        put(i, entry);
    }

    std::uint32_t* size_ = nullptr;
    Entry* heap_ = nullptr;
    Want* want_ = nullptr;
    std::uint32_t timers_ = 0;
};

}  // namespace keepnet
