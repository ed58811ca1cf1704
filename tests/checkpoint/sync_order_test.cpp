// What is called durable has been synced before: no name leads to bytes that were not, no record is reported that was not.
// The calls of the system that decide it are taken down, and forwarded, by functions of the same names in this program.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/journal_file.hpp>

#include "support/folder.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using checkpoint::Code;
using checkpoint::FileStore;

namespace {

enum class Call : std::uint8_t { write, sync, rename };

struct Noted {
    Call call{};
    std::string name{};   ///< of the file or folder; of a rename where it leads
    off_t at = 0;         ///< of a write at a place
    std::string from{};
};

/// One at a time, and nothing is noted without one.
class Watch {
  public:
    Watch() { now = this; }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { now = nullptr; }

    void note(Noted what) {
        const std::lock_guard lock(mutex_);
        calls_.push_back(std::move(what));
    }
    /// False: the sync fails. While syncs are held they wait.
    bool sync(const std::string& name) {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return !is_held_; });
        --waiting_;
        if (fails_) return false;
        calls_.push_back({Call::sync, name});
        return true;
    }
    void hold(bool on) {
        const std::lock_guard lock(mutex_);
        is_held_ = on;
        changed_.notify_all();
    }
    void fail(bool on) {
        const std::lock_guard lock(mutex_);
        fails_ = on;
    }
    void wait_for_sync() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_ != 0; });
    }
    std::vector<Noted> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(calls_, {});
    }

    static inline std::atomic<Watch*> now = nullptr;

  private:
    std::mutex mutex_{};
    std::condition_variable changed_{};
    std::vector<Noted> calls_{};
    bool is_held_ = false, fails_ = false;
    int waiting_ = 0;
};

std::string name_of(int fd) {
    char path[4096];
    const ssize_t n = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    return n < 0 ? "?" : std::string(path, static_cast<std::size_t>(n));
}

template <class F>
F real(const char* name) {
    return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

int sync_as(const char* name, int fd) {
    Watch* const watch = Watch::now;
    if (watch != nullptr && !watch->sync(name_of(fd))) {
        errno = EIO;
        return -1;
    }
    return real<int (*)(int)>(name)(fd);
}

/// Every file under whose name something can be found was synced behind its last write, and its folder behind the rename.
void check_order(const std::vector<Noted>& calls, const std::string& folder) {
    std::size_t renames = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        if (calls[i].call != Call::rename) continue;
        ++renames;
        const auto before = calls.begin() + static_cast<std::ptrdiff_t>(i);
        const auto is_of = [&](Call call) {
            return [&, call](const Noted& c) { return c.call == call && c.name == calls[i].from; };
        };
        const auto end = std::make_reverse_iterator(calls.begin());
        const auto written = std::find_if(std::make_reverse_iterator(before), end, is_of(Call::write));
        const auto synced = std::find_if(std::make_reverse_iterator(before), end, is_of(Call::sync));
        INFO(calls[i].name);
        CHECK(written != end);
        CHECK(synced < written);
        CHECK(std::any_of(before, calls.end(), [&](const Noted& c) { return c.call == Call::sync && c.name == folder; }));
    }
    CHECK(renames == 1);
}

}  // namespace

// The names that the store and the journal call.
extern "C" {

int fdatasync(int fd) { return sync_as("fdatasync", fd); }
int fsync(int fd) { return sync_as("fsync", fd); }

int rename(const char* from, const char* to) noexcept {
    if (Watch* const watch = Watch::now) watch->note({Call::rename, to, 0, from});
    return real<int (*)(const char*, const char*)>("rename")(from, to);
}

ssize_t write(int fd, const void* bytes, size_t n) {
    if (Watch* const watch = Watch::now) watch->note({Call::write, name_of(fd)});
    return real<ssize_t (*)(int, const void*, size_t)>("write")(fd, bytes, n);
}

ssize_t pwrite(int fd, const void* bytes, size_t n, off_t at) {
    if (Watch* const watch = Watch::now) watch->note({Call::write, name_of(fd), at});
    return real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite")(fd, bytes, n, at);
}

}  // extern "C"

TEST_CASE("a snapshot gets its name when it is synced, and is durable when the folder is") {
    Folder folder;
    Sample sample;
    FileStore store = *FileStore::open((folder.path / "s").string());
    Watch watch;
    SECTION("a base") {
        REQUIRE(checkpoint::save(*sample.stack, store, {}).has_value());
        check_order(watch.take(), std::filesystem::canonical(folder.path));
    }
    SECTION("an increment") {
        REQUIRE(checkpoint::save(*sample.stack, store, {}).has_value());
        (void)watch.take();
        REQUIRE(checkpoint::save(*sample.stack, store, {}, checkpoint::IncrementalOptions{}).has_value());
        check_order(watch.take(), std::filesystem::canonical(folder.path));
        REQUIRE(store.facts()->increments == 1);
    }
    SECTION("a chain put together") {
        REQUIRE(checkpoint::save(*sample.stack, store, {}).has_value());
        REQUIRE(checkpoint::save(*sample.stack, store, {}, checkpoint::IncrementalOptions{}).has_value());
        (void)watch.take();
        REQUIRE(store.compact().has_value());
        check_order(watch.take(), std::filesystem::canonical(folder.path));
    }
    SECTION("one that cannot be synced gets no name, and the one before stays") {
        REQUIRE(checkpoint::save(*sample.stack, store, {}).has_value());
        const auto before = *store.load();
        watch.fail(true);
        (void)watch.take();
        const auto failed = checkpoint::save(*sample.stack, store, {});
        REQUIRE(!failed);
        CHECK(failed.error().code == Code::input_output);
        for (const Noted& call : watch.take()) CHECK(call.call != Call::rename);
        CHECK(*store.load() == before);
        CHECK(folder.names() == std::set<std::string>{"s"});
    }
}

TEST_CASE("a journal's record is durable when it is synced, and not before") {
    Folder folder;
    const std::string path = std::filesystem::canonical(folder.path) / "j";
    auto journal = *FileJournal::open(path, Journal::memory_bytes_min);
    Watch watch;
    REQUIRE(journal->format(1).has_value());
    const std::vector<std::uint8_t> record(1000, 7);
    const auto status = [&] {
        std::this_thread::yield();
        return journal->status();
    };
    const auto wait_until_done = [&](Lsn durable) {
        while (status().durable < durable && status().error == Error::invalid) {}
    };
    (void)watch.take();
    SECTION("while the sync is under way it is not") {
        watch.hold(true);
        REQUIRE(journal->write(0, record));
        watch.wait_for_sync();
        CHECK(status().durable == 0);
        const auto calls = watch.take();
        CHECK(std::ranges::count(calls, Call::write, &Noted::call) >= 1);
        watch.hold(false);
        wait_until_done(1000);
        CHECK(status().durable == 1000);
        CHECK(watch.take().front().call == Call::sync);
    }
    SECTION("one whose sync fails never is") {
        watch.fail(true);
        REQUIRE(journal->write(0, record));
        wait_until_done(1000);
        CHECK(status().durable == 0);
        CHECK(status().error == Error::journal_failed);
        watch.fail(false);
        REQUIRE(journal->write(0, record));
        wait_until_done(1000);
        CHECK(status().durable == 1000);
    }
    SECTION("nothing is overwritten before the header that gives it up is synced") {
        const std::vector<std::uint8_t> half(Journal::memory_bytes_min / 2, 7);
        for (const Lsn at : {Lsn{0}, Lsn{half.size()}}) {
            REQUIRE(journal->write(at, half));
            wait_until_done(at + half.size());
        }
        (void)watch.take();
        journal->truncate(half.size());
        REQUIRE(journal->write(2 * half.size(), half));
        wait_until_done(3 * half.size());
        const auto calls = watch.take();
        // The header, its sync, the ring, and its sync.
        std::vector<Call> order;
        for (const Noted& c : calls) {
            if (c.name == path) order.push_back(c.call);
        }
        CHECK(order == std::vector<Call>{Call::write, Call::sync, Call::write, Call::sync});
        REQUIRE(!calls.empty());
        CHECK(calls.front().at < 8192);
    }
}

TEST_CASE("a journal that is made, or emptied, is on the disk before it is used") {
    Folder folder;
    const std::string path = std::filesystem::canonical(folder.path) / "j";
    Watch watch;
    auto journal = *FileJournal::open(path, Journal::memory_bytes_min);
    auto calls = watch.take();
    CHECK(std::ranges::count(calls, path, &Noted::name) >= 1);
    CHECK(std::ranges::count(calls, folder.path.string(), &Noted::name) == 1);
    REQUIRE(journal->format(1).has_value());
    calls = watch.take();
    REQUIRE(!calls.empty());
    CHECK(calls.back().call == Call::sync);
    CHECK(std::ranges::count(calls, Call::write, &Noted::call) == 2);
    watch.fail(true);
    CHECK(!journal->format(2).has_value());
}
