// Stores: what load() gives is always a whole snapshot, whatever happened to the one that followed it.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <catch2/catch_test_macros.hpp>

#include "support/folder.hpp"
#include "support/sample.hpp"

using namespace keepnet;
using namespace keepnet::test;
using checkpoint::Code;
using checkpoint::FileStore;
namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<std::uint8_t>;

FileStore open(const fs::path& path) {
    auto store = FileStore::open(path.string());
    if (!store) FAIL(store.error().message);
    return std::move(*store);
}

void put(checkpoint::SnapshotStore& store, const Bytes& bytes) {
    auto writer = store.begin();
    REQUIRE(writer.has_value());
    REQUIRE((*writer)->write(bytes).has_value());
    REQUIRE((*writer)->commit().has_value());
}

void write_file(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

TEST_CASE("a store gives back the last snapshot that was committed") {
    Folder folder;
    FileStore file = open(folder.path / "s");
    checkpoint::MemoryStore memory;
    for (checkpoint::SnapshotStore* store : {static_cast<checkpoint::SnapshotStore*>(&file),
                                             static_cast<checkpoint::SnapshotStore*>(&memory)}) {
        REQUIRE(store->load().error().code == Code::not_found);
        put(*store, {1, 2, 3});
        REQUIRE(*store->load() == Bytes{1, 2, 3});
        put(*store, {4});
        REQUIRE(*store->load() == Bytes{4});
        {
            auto given_up = store->begin();
            REQUIRE((*given_up)->write(Bytes{9, 9}).has_value());
        }
        REQUIRE(*store->load() == Bytes{4});
        put(*store, Bytes(1'000'000, 7));
        REQUIRE(*store->load() == Bytes(1'000'000, 7));
    }
    REQUIRE(folder.names().size() == 1);
}

TEST_CASE("many small writes and one large one make one file") {
    Folder folder;
    FileStore store = open(folder.path / "s");
    auto writer = store.begin();
    Bytes expected;
    for (std::size_t i = 0; i < 5000; ++i) {
        const Bytes part(i % 97, static_cast<std::uint8_t>(i));
        expected.insert(expected.end(), part.begin(), part.end());
        REQUIRE((*writer)->write(part).has_value());
    }
    const Bytes large(700'000, 5);
    expected.insert(expected.end(), large.begin(), large.end());
    REQUIRE((*writer)->write(large).has_value());
    REQUIRE((*writer)->commit().has_value());
    REQUIRE(*store.load() == expected);
}

TEST_CASE("a snapshot file is its owner's alone, whatever the umask") {
    Folder folder;
    const mode_t old = ::umask(0);
    FileStore store = open(folder.path / "s");
    put(store, {1});
    ::umask(old);
    struct stat status {};
    REQUIRE(::stat((folder.path / "s").c_str(), &status) == 0);
    REQUIRE((status.st_mode & 07777) == 0600);
}

TEST_CASE("what a crash left of an unfinished write is removed, the snapshot before it stays") {
    Folder folder;
    {
        FileStore store = open(folder.path / "s");
        put(store, {1, 2});
    }
    write_file(folder.path / "s.new", "half of it");
    FileStore store = open(folder.path / "s");
    REQUIRE(folder.names().size() == 1);
    REQUIRE(*store.load() == Bytes{1, 2});
}

TEST_CASE("a link planted in the way of the next write is not followed") {
    Folder folder;
    write_file(folder.path / "victim", "precious");
    FileStore store = open(folder.path / "s");
    fs::create_symlink(folder.path / "victim", folder.path / "s.new");
    put(store, {1});
    std::ifstream in(folder.path / "victim");
    REQUIRE(std::string(std::istreambuf_iterator<char>(in), {}) == "precious");
    REQUIRE(*store.load() == Bytes{1});
}

TEST_CASE("a directory that cannot be used is refused in one line") {
    Folder folder;
    const auto refused = [](const fs::path& path) {
        const auto store = FileStore::open(path.string());
        REQUIRE_FALSE(store.has_value());
        REQUIRE(store.error().code == Code::input_output);
        REQUIRE(store.error().message.find('\n') == std::string::npos);
        return store.error().message;
    };
    REQUIRE(refused(folder.path / "none" / "s").find("No such file") != std::string::npos);
    write_file(folder.path / "file", "");
    REQUIRE(refused(folder.path / "file" / "s").find("Not a directory") != std::string::npos);
    REQUIRE(refused(folder.path).find("not a regular file") != std::string::npos);
    if (::geteuid() != 0) {
        fs::permissions(folder.path, fs::perms::owner_read | fs::perms::owner_exec);
        REQUIRE(refused(folder.path / "s").find("Permission denied") != std::string::npos);
    }
}

TEST_CASE("a write that fails leaves the snapshot before it, and says why") {
    Folder folder;
    FileStore store = open(folder.path / "s");
    put(store, {1, 2});
    auto writer = store.begin();
    REQUIRE((*writer)->write(Bytes{3}).has_value());
    fs::remove(folder.path / "s.new");
    const auto committed = (*writer)->commit();
    REQUIRE(committed.error().code == Code::input_output);
    REQUIRE(committed.error().message.find("rename") != std::string::npos);
    REQUIRE(*store.load() == Bytes{1, 2});
}

TEST_CASE("a store in the directory one is in needs no slash") {
    Folder folder;
    const fs::path here = fs::current_path();
    fs::current_path(folder.path);
    FileStore store = open("s");
    put(store, {1});
    const auto loaded = store.load();
    fs::current_path(here);
    REQUIRE(*loaded == Bytes{1});
}

TEST_CASE("kill -9 at any instant leaves a whole snapshot") {
    Folder folder;
    for (int round = 0; round < 20; ++round) {
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            auto store = FileStore::open((folder.path / "s").string());
            for (std::uint8_t i = 0;; ++i) {
                auto writer = store->begin();
                for (int part = 0; part < 50; ++part) (void)(*writer)->write(Bytes(10'000, i));
                (void)(*writer)->commit();
            }
        }
        ::usleep(static_cast<useconds_t>(2000 + 1700 * round));
        ::kill(child, SIGKILL);
        REQUIRE(::waitpid(child, nullptr, 0) == child);
        FileStore store = open(folder.path / "s");
        const auto loaded = store.load();
        if (!loaded) {
            REQUIRE(loaded.error().code == Code::not_found);
            continue;
        }
        REQUIRE(loaded->size() == 500'000);
        REQUIRE(*loaded == Bytes(500'000, loaded->front()));
    }
}

TEST_CASE("save: cut, encode, commit, on failure the cut is given up") {
    Sample sample;
    checkpoint::MemoryStore store;
    const auto saved = checkpoint::save(*sample.stack, store, {.blobs = {{"a", {1}}}});
    REQUIRE(saved.has_value());
    REQUIRE(checkpoint::summarize(*store.snapshot)->cut == *saved);
    REQUIRE(sample.w().cuts().outstanding == std::array<CutNumber, 2>{});
    REQUIRE(sample.w().statistics.get(0U).cuts_committed == 1);

    Folder folder;
    FileStore file = open(folder.path / "s");
    fs::remove_all(folder.path);
    REQUIRE(checkpoint::save(*sample.stack, file, {}).error().code == Code::input_output);
    REQUIRE(sample.w().cuts().outstanding == std::array<CutNumber, 2>{});
    REQUIRE(sample.w().statistics.get(0U).cuts_abandoned == 1);
    REQUIRE(checkpoint::save(*sample.stack, store, {}).has_value());
}
