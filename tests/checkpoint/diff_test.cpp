// `keepnet diff` and `keepnet verify`, and chains under `keepnet inspect`.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <catch2/catch_test_macros.hpp>

#include "support/sample.hpp"
#include "support/tool.hpp"

using namespace keepnet;
using namespace keepnet::test;
using namespace keepnet::literals;
namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// What happens between A and B: a socket is born, one goes, a connection moves on, a route's time passes, bytes come in.
void change(Sample& sample) {
    World& w = sample.w();
    w.edit_stack().now = w.stack().now + 2_s;  // deadlines that nobody touched come nearer, and have not changed
    REQUIRE(sample.stack->close({w.sockets.handle_of(2).raw}).has_value());
    REQUIRE(sample.stack->open_udp().has_value());
    TcpConnectionState& c = w.connections.edit(0U);
    c.snd.wnd = 1234;
    c.congestion.cwnd += 1220;
    const Link entry = sample.node(sample.slice(0, 70, 3), {5400}, {});
    w.slice_nodes.edit(c.receive_queue.tail.index()).next = entry;
    c.receive_queue.tail = entry;
    ++c.receive_queue.nodes;
    c.receive_queue.bytes += 70;
    c.rcv.nxt = c.rcv.nxt + 70U;
}

struct TwoSnapshots {
    TwoSnapshots() {
        a = tool.write(snapshot_of(*sample.stack, {.blobs = {{"kept", {1}}, {"old", {2, 2}}}}), "a");
        change(sample);
        b = tool.write(snapshot_of(*sample.stack, {.blobs = {{"kept", {1}}, {"new", {3}}}}), "b");
    }
    Tool tool;
    Sample sample;
    fs::path a, b;
};

}  // namespace

TEST_CASE("diff shows people what changed between two snapshots") {
    TwoSnapshots two;
    const Output output = two.tool.run("diff " + two.a.string() + " " + two.b.string());
    INFO(output.out << output.err);
    REQUIRE(output.status == 3);
    REQUIRE(output.err.empty());
    for (const char* part :
         {"cut 1 -> cut 2\n", "- socket 2 [::]:0", "+ socket 2 [::]:0", "+ UDP socket 1\n",
          "~ TCP connection 0 [2001:db8::1]:80 [2001:db8::2]:40000\n", "    snd.wnd: 65535 -> 1234\n",
          "    congestion.cwnd: 12200 -> 13420\n", "    rcv.nxt: 5400 -> 5470\n", "    receiveQueue.bytes: 400 -> 470\n",
          "bytes queued, receive: 400 -> 470\n", "queue entries: 1 born, 0 gone, 1 changed\n", "    now: 0 -> 2000000000\n",
          "blob \"old\": 2 -> none bytes\n", "blob \"new\": none -> 1 bytes\n"}) {
        INFO(part);
        REQUIRE(has(output.out, part));
    }
    // What did not change is not shown: other connections, deadlines, the blob.
    for (const char* part : {"TCP connection 1", "route", "neighbour", "timers.", "kept", "bytes queued, send"}) {
        INFO(part);
        REQUIRE_FALSE(has(output.out, part));
    }
}

TEST_CASE("diff of what is the same is empty, with status 0") {
    TwoSnapshots two;
    const Output output = two.tool.run("diff " + two.a.string() + " " + two.a.string());
    REQUIRE(output.status == 0);
    REQUIRE(output.out.empty());
    REQUIRE(output.err.empty());
}

TEST_CASE("diff --json gives programs every change") {
    TwoSnapshots two;
    const Output output = two.tool.run("diff --json " + two.a.string() + " " + two.b.string());
    REQUIRE(output.status == 3);
    const fs::path file = two.tool.folder() / "d.json";
    std::ofstream(file) << output.out;
    std::ofstream(file.string() + ".py") << R"(import json, sys
d = json.load(open(sys.argv[1]))
assert d["cut"] == [1, 2] and d["epoch"] == [0, 0]
changed = {(o["kind"], o["slot"]): o["fields"] for o in d["changed"]}
c = changed["connections", 0]
assert c["snd.wnd"] == [65535, 1234] and c["congestion.cwnd"] == [12200, 13420]
assert c["receiveQueue.bytes"] == [400, 470] and not any(name.startswith("timers") for name in c)
assert ("connections", 1) not in changed and ("routes", 1) not in changed
assert changed["stack", 0]["now"] == [0, 2000000000]
born = {(o["kind"], o["slot"]): o for o in d["born"]}
gone = {(o["kind"], o["slot"]): o for o in d["gone"]}
assert born["sockets", 2]["fields"]["kind"] == "udp" and gone["sockets", 2]["fields"]["kind"] == "tcp"
assert born["sockets", 2]["generation"] > gone["sockets", 2]["generation"]
assert born["sliceNodes", 5]["fields"]["slice.length"] == 70
assert d["bytes"]["receive"] == [400, 470] and d["bytes"]["send"] == [600, 600]
assert d["blobs"] == [{"name": "new", "bytes": [None, 1]}, {"name": "old", "bytes": [2, None]}]
)";
    REQUIRE(std::system(("python3 " + file.string() + ".py " + file.string()).c_str()) == 0);
    const Output same = two.tool.run("diff --json " + two.a.string() + " " + two.a.string());
    REQUIRE(same.status == 0);
    REQUIRE(has(same.out, "\"born\": []"));
    REQUIRE(has(same.out, "\"changed\": []"));
}

TEST_CASE("diff says whose trouble it is") {
    TwoSnapshots two;
    const fs::path bad = two.tool.write(Bytes(100, 'x'), "bad");
    for (const auto& [arguments, says] :
         {std::pair{two.a.string() + " " + bad.string(), bad.string() + ": not a keepnet snapshot"},
          std::pair{bad.string() + " " + two.a.string(), bad.string() + ": not a keepnet snapshot"},
          std::pair{two.a.string() + " /nowhere", std::string("/nowhere: No such file")}}) {
        const Output output = two.tool.run("diff " + arguments);
        REQUIRE(output.status == 1);
        REQUIRE(output.out.empty());
        REQUIRE(has(output.err, says));
        REQUIRE(std::ranges::count(output.err, '\n') == 1);
    }
}

TEST_CASE("a store's file stands for its base and the increments beside it") {
    Tool tool;
    Sample sample;
    auto store = checkpoint::FileStore::open((tool.folder() / "s").string());
    const checkpoint::IncrementalOptions limits{.grown_percent = 1'000'000};
    for (int i = 0; i < 3; ++i) {
        REQUIRE(checkpoint::save(*sample.stack, *store, {}, limits).has_value());
        REQUIRE(sample.stack->open_tcp().has_value());
    }
    const std::string s = (tool.folder() / "s").string();
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(tool.folder())) {
        if (entry.path().string().starts_with(s + ".")) files.push_back(entry.path().string());
    }
    std::ranges::sort(files);
    REQUIRE(files.size() == 2);
    const auto before = slurp(files[0]);

    const Output inspected = tool.run("inspect " + s);
    INFO(inspected.out << inspected.err);
    REQUIRE(inspected.status == 0);
    REQUIRE(has(inspected.out, "snapshot of cut 3"));
    REQUIRE(has(inspected.out, "from a base and 2 increments"));
    REQUIRE(has(inspected.out, "sockets: 6"));
    const Output json = tool.run("inspect --json " + s);
    REQUIRE(json.status == 0);
    REQUIRE(has(json.out, "\"cut\": 3"));
    REQUIRE(has(tool.run("inspect " + s + "," + files[0]).out, "snapshot of cut 2"));

    // A chain on either side.
    const Output compared = tool.run("diff " + s + "," + files[0] + " " + s);
    REQUIRE(compared.status == 3);
    REQUIRE(has(compared.out, "cut 2 -> cut 3"));
    REQUIRE(has(compared.out, "+ socket 5"));
    REQUIRE_FALSE(has(compared.out, "+ socket 4"));

    const Output verified = tool.run("verify " + s + " " + files[1] + " " + s + "," + files[0]);
    REQUIRE(verified.status == 0);
    REQUIRE(has(verified.out, s + ": good: cut 3 from a base and 2 increments, 3 connections\n"));
    REQUIRE(has(verified.out, files[1] + ": good: an increment of cut 3 on cut 2, looked at without its base\n"));
    REQUIRE(has(verified.out, s + "," + files[0] + ": good: cut 2 from a base and 1 increment, 3 connections\n"));

    // One bad among good ones.
    const Output gap = tool.run("verify " + s + "," + files[1] + " " + s);
    REQUIRE(gap.status == 1);
    REQUIRE(has(gap.out, "BAD: snapshot 2 of 2: an increment on cut 2 stands behind cut 1: one is missing"));
    REQUIRE(has(gap.out, s + ": good"));
    REQUIRE(slurp(files[0]) == before);
    fs::remove(files[0]);
    const Output missing = tool.run("verify " + s);
    REQUIRE(missing.status == 1);
    REQUIRE(has(missing.out, "BAD: " + files[0] + " is missing"));
}

TEST_CASE("verify says of each file whether a restore would take it") {
    Tool tool;
    Sample sample;
    const Bytes good = snapshot_of(*sample.stack);
    Bytes flipped = good;
    flipped[flipped.size() / 2] ^= 8;
    Bytes truncated = good;
    truncated.resize(good.size() - 100);
    // A right checksum over a state that cannot be.
    Sample broken;
    broken.w().connections.edit(0U).send_queue.bytes += 1;
    const std::string files[] = {tool.write(good, "good").string(), tool.write(flipped, "flipped").string(),
                                 tool.write(truncated, "truncated").string(), tool.write({}, "empty").string(),
                                 tool.write(snapshot_of(*broken.stack), "broken").string(), "/nowhere"};
    const Output output = tool.run("verify " + files[0] + " " + files[1] + " " + files[2] + " " + files[3] + " " +
                                   files[4] + " " + files[5]);
    INFO(output.out);
    REQUIRE(output.status == 1);
    REQUIRE(output.err.empty());
    REQUIRE(std::ranges::count(output.out, '\n') == 6);
    REQUIRE(has(output.out, files[0] + ": good: cut 1, 3 connections\n"));
    REQUIRE(has(output.out, files[1] + ": BAD: the snapshot is damaged: its checksum is wrong\n"));
    REQUIRE(has(output.out, files[2] + ": BAD: the snapshot is truncated"));
    REQUIRE(has(output.out, files[3] + ": BAD: the snapshot is empty\n"));
    REQUIRE(has(output.out, files[4] + ": BAD: the snapshot is damaged: TCP connection 0: "));
    REQUIRE(has(output.out, files[5] + ": BAD: No such file"));
    REQUIRE(tool.run("verify " + files[0]).status == 0);
    REQUIRE(tool.run("verify").status == 2);
}
