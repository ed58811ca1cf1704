// Stores that keep a base and its increments: whatever happens, what they give is a chain that restores to what was
// committed last.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <catch2/catch_test_macros.hpp>

#include "support/busy_pair.hpp"
#include "support/folder.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using checkpoint::Code;
using checkpoint::FileStore;
using checkpoint::IncrementalOptions;
namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// With a store in it.
class StoreFolder : public Folder {
  public:
    [[nodiscard]] FileStore store() const {
        auto store = FileStore::open((path / "s").string());
        if (!store) FAIL(store.error().message);
        return std::move(*store);
    }
};

/// The state of the last cut that the store has.
Content loaded_content(checkpoint::SnapshotStore& store, const StackConfig& config) {
    const auto chain = store.load_chain();
    if (!chain) FAIL(chain.error().message);
    const std::vector<ByteView> views(chain->begin(), chain->end());
    Arena arena(Stack::arena_bytes(config));
    auto copy = checkpoint::decode(arena.span(), config, views, true);
    if (!copy) FAIL(copy.error().message);
    // One snapshot is the same.
    const auto one = store.load();
    if (!one) FAIL(one.error().message);
    Arena second(Stack::arena_bytes(config));
    auto again = checkpoint::decode(second.span(), config, *one, true);
    if (!again) FAIL(again.error().message);
    REQUIRE(content_of(again->core().world) == content_of(copy->core().world));
    return content_of(copy->core().world);
}

}  // namespace

TEST_CASE("save keeps a base and increments, and compacts them") {
    StoreFolder folder;
    FileStore file = folder.store();
    checkpoint::MemoryStore memory;
    for (checkpoint::SnapshotStore* store : {static_cast<checkpoint::SnapshotStore*>(&file),
                                             static_cast<checkpoint::SnapshotStore*>(&memory)}) {
        BusyPair pair(2);
        std::vector<std::uint32_t> increments;
        for (std::uint8_t round = 0; round < 12; ++round) {
            for (int i = 0; i < 8; ++i) pair.turn();
            pair.commit_other();
            const Content expected = content_of(pair.w());
            const IncrementalOptions limits{.increments_max = 4, .grown_percent = 1'000'000};
            const auto saved = checkpoint::save(pair.stack(), *store, {.blobs = {{"n", {round}}}}, limits);
            if (!saved) FAIL(saved.error().message);
            REQUIRE(loaded_content(*store, pair.config()) == expected);
            REQUIRE(store->facts()->cut == *saved);
            increments.push_back(store->facts()->increments);
            REQUIRE(pair.w().cuts().outstanding == std::array<CutNumber, 2>{});
        }
        REQUIRE(increments == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3});
        // A large increment makes the next one compact.
        const IncrementalOptions tight{.increments_max = 100, .grown_percent = 0};
        REQUIRE(checkpoint::save(pair.stack(), *store, {}, tight).has_value());
        REQUIRE(store->facts()->increments == 1);
        // A whole one replaces all of it.
        REQUIRE(checkpoint::save(pair.stack(), *store, {}).has_value());
        REQUIRE(store->facts()->increments == 0);
    }
    REQUIRE(folder.names() == std::set<std::string>{"s"});
}

TEST_CASE("what the store holds is of another run: the next one saved is whole") {
    StoreFolder folder;
    FileStore store = folder.store();
    BusyPair pair(2);
    for (int i = 0; i < 20; ++i) pair.turn();
    REQUIRE(checkpoint::save(pair.stack(), store, {}, IncrementalOptions{}).has_value());
    REQUIRE(checkpoint::save(pair.stack(), store, {}, IncrementalOptions{}).has_value());
    REQUIRE(store.facts()->increments == 1);
    const auto bytes = store.load();
    Arena arena(Stack::arena_bytes(pair.config()));
    auto restored = checkpoint::restore(arena.span(), pair.config(), *bytes, {.now = Instant{9}});
    REQUIRE(restored.has_value());
    REQUIRE(checkpoint::save(restored->stack, store, {}, IncrementalOptions{}).has_value());
    REQUIRE(store.facts()->increments == 0);
    REQUIRE(checkpoint::save(restored->stack, store, {}, IncrementalOptions{}).has_value());
    REQUIRE(store.facts()->increments == 1);
    // The first run, should it go on, cannot add to the second one's.
    REQUIRE(checkpoint::save(pair.stack(), store, {}, IncrementalOptions{}).has_value());
    REQUIRE(store.facts()->increments == 0);
}

TEST_CASE("an increment on something else is not committed") {
    StoreFolder folder;
    FileStore file = folder.store();
    checkpoint::MemoryStore memory;
    for (checkpoint::SnapshotStore* store : {static_cast<checkpoint::SnapshotStore*>(&file),
                                             static_cast<checkpoint::SnapshotStore*>(&memory)}) {
        REQUIRE(store->begin_increment().error().code == Code::not_found);
        BusyPair pair(2);
        REQUIRE(checkpoint::save(pair.stack(), *store, {}, IncrementalOptions{}).has_value());
        const auto kept = *store->load();
        for (const Bytes& wrong : {kept, Bytes{1, 2, 3}, Bytes{}}) {
            auto writer = store->begin_increment();
            REQUIRE((*writer)->write(wrong).has_value());
            REQUIRE((*writer)->commit().error().code == Code::wrong_chain);
        }
        REQUIRE(*store->load() == kept);
        REQUIRE(store->facts()->increments == 0);
    }
    REQUIRE(folder.names() == std::set<std::string>{"s"});
}

TEST_CASE("increments of an earlier base, as a crash leaves them, are not looked at") {
    StoreFolder folder;
    FileStore store = folder.store();
    BusyPair pair(4);
    const IncrementalOptions limits{.grown_percent = 1'000'000};
    for (int i = 0; i < 3; ++i) {
        pair.turn();
        REQUIRE(checkpoint::save(pair.stack(), store, {}, limits).has_value());
    }
    // The machine dies when the new base has its name, and the old increments are still there.
    for (const auto& name : folder.names()) {
        if (name != "s") fs::copy(folder.path / name, folder.path / ("kept-" + name));
    }
    pair.turn();
    const Content expected = content_of(pair.w());
    REQUIRE(checkpoint::save(pair.stack(), store, {}).has_value());
    for (const auto& name : folder.names()) {
        if (name.starts_with("kept-")) fs::rename(folder.path / name, folder.path / name.substr(5));
    }
    REQUIRE(folder.names().size() == 3);
    FileStore again = folder.store();
    REQUIRE(loaded_content(again, pair.config()) == expected);
    REQUIRE(again.facts()->increments == 0);
    // Strangers are left alone.
    std::ofstream(folder.path / "s.bak") << "mine";
    std::ofstream(folder.path / "s.0123456789abcdef-x") << "mine";
    REQUIRE(checkpoint::save(pair.stack(), again, {}).has_value());
    REQUIRE(folder.names() == std::set<std::string>{"s", "s.bak", "s.0123456789abcdef-x"});
}

TEST_CASE("a chain with a missing or damaged file is refused, and the next one saved is whole") {
    StoreFolder folder;
    FileStore store = folder.store();
    BusyPair pair(4);
    const IncrementalOptions limits{.grown_percent = 1'000'000};
    for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < 5; ++k) pair.turn();
        REQUIRE(checkpoint::save(pair.stack(), store, {}, limits).has_value());
    }
    std::string second;
    for (const auto& name : folder.names()) {
        if (name.ends_with("-2")) second = name;
    }
    REQUIRE(second.size() == std::string("s.0123456789abcdef-2").size());
    SECTION("missing") {
        fs::remove(folder.path / second);
        REQUIRE(store.load_chain().error().code == Code::wrong_chain);
        REQUIRE(store.load_chain().error().message.find(second + " is missing") != std::string::npos);
        REQUIRE(store.load().error().code == Code::wrong_chain);
        REQUIRE_FALSE(store.facts().has_value());
    }
    SECTION("damaged") {
        std::fstream file(folder.path / second, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(400);
        file.put('\x55').put('\x55');
        file.close();
        REQUIRE(store.load().error().code == Code::damaged);
        REQUIRE(store.load().error().message.find("snapshot 3 of 4: ") != std::string::npos);
        const IncrementalOptions compacts{.increments_max = 1, .grown_percent = 0};
        REQUIRE(checkpoint::save(pair.stack(), store, {}, compacts).has_value());
    }
    const Content expected = content_of(pair.w());
    REQUIRE(checkpoint::save(pair.stack(), store, {}).has_value());
    REQUIRE(loaded_content(store, pair.config()) == expected);
    REQUIRE(folder.names() == std::set<std::string>{"s"});
}

TEST_CASE("kill -9 at any instant leaves a chain that loads and holds what was acknowledged") {
    StoreFolder folder;
    std::size_t with_increments = 0;
    for (int round = 0; round < 25; ++round) {
        int pipes[2];
        REQUIRE(::pipe(pipes) == 0);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            ::close(pipes[0]);
            BusyPair pair(static_cast<std::uint64_t>(round));
            auto store = FileStore::open((folder.path / "s").string());
            for (;;) {
                for (int i = 0; i < 3; ++i) pair.turn();
                const IncrementalOptions limits{.increments_max = 3, .grown_percent = 1'000'000};
                const auto saved = checkpoint::save(pair.stack(), *store, {}, limits);
                const CutId cut = saved ? *saved : 0;
                if (::write(pipes[1], &cut, sizeof cut) != sizeof cut || cut == 0) ::_exit(1);
            }
        }
        ::close(pipes[1]);
        CutId acknowledged = 0;
        const auto listen_for = [&](int most) {
            CutId cut = 0;
            while (most-- > 0 && ::read(pipes[0], &cut, sizeof cut) == sizeof cut) {
                REQUIRE(cut != 0);
                acknowledged = cut;
            }
        };
        listen_for(1 + round % 9);  // so far for sure, and then some
        ::usleep(static_cast<useconds_t>(round * 173 % 2000));
        ::kill(child, SIGKILL);
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        listen_for(INT_MAX);
        ::close(pipes[0]);
        FileStore store = folder.store();
        REQUIRE(store.facts().has_value());
        REQUIRE(store.facts()->cut >= acknowledged);
        REQUIRE(store.facts()->cut <= acknowledged + 1);
        with_increments += store.facts()->increments != 0 ? 1 : 0;
        (void)loaded_content(store, busy_config());
    }
    REQUIRE(with_increments > 5);
}
