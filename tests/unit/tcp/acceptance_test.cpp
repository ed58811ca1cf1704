// Pure decisions about sequence numbers and windows.
#include "tcp/acceptance.hpp"

#include <catch2/catch_test_macros.hpp>
#include <random>

using namespace keepnet;
using namespace keepnet::tcp;

TEST_CASE("RFC 9293 3.10.7.4, table 6: acceptable segments") {
    struct Row {
        std::int32_t seq;  // relative to RCV.NXT
        std::uint32_t length;
        std::uint32_t window;
        bool acceptable;
    };
    constexpr Row rows[] = {
        {0, 0, 0, true},     {-1, 0, 0, false},  {1, 0, 0, false},    // length 0, window 0
        {0, 0, 10, true},    {9, 0, 10, true},   {10, 0, 10, false},  // length 0, window
        {-1, 0, 10, false},                                           // a keep-alive
        {0, 1, 0, false},    {-1, 2, 0, false},                       // text, window 0
        {0, 1, 10, true},    {9, 1, 10, true},   {10, 1, 10, false},  // text, window
        {-5, 5, 10, false},  {-5, 6, 10, true},                       // ends at, and in, the window
        {-5, 30, 10, false},                                          // begins before and ends behind it
        {9, 30, 10, true},   {-1, 1, 10, false},
    };
    for (const std::uint32_t nxt : {0U, 1000U, 0xffff'fffcU, 0x7fff'fffaU}) {
        for (const Row& r : rows) {
            INFO("nxt " << nxt << " seq " << r.seq << " length " << r.length << " window " << r.window);
            const Seq n{nxt};
            CHECK(is_acceptable(n + static_cast<std::uint32_t>(r.seq), r.length, n, n + r.window) ==
                  r.acceptable);
        }
    }
}

TEST_CASE("RFC 5961 5.2: what an ACK number is") {
    SendSequence snd;
    snd.una = Seq{0xffff'fff0};
    snd.nxt = Seq{0x10};
    snd.max = Seq{0x20};
    snd.wnd_max = 0x40;
    CHECK(classify_ack(snd, Seq{0xffff'fff0}) == AckKind::repeats);
    CHECK(classify_ack(snd, Seq{0xffff'fff1}) == AckKind::advances);
    CHECK(classify_ack(snd, Seq{0x20}) == AckKind::advances);
    CHECK(classify_ack(snd, Seq{0x21}) == AckKind::unsent);
    CHECK(classify_ack(snd, Seq{0xffff'ffef}) == AckKind::old);
    CHECK(classify_ack(snd, Seq{0xffff'ffb0}) == AckKind::old);
    CHECK(classify_ack(snd, Seq{0xffff'ffaf}) == AckKind::ancient);
}

TEST_CASE("RFC 9293 3.10.7.4: an old segment's window is not taken for a new one") {
    SendSequence snd;
    snd.wl1 = Seq{100};
    snd.wl2 = Seq{50};
    CHECK(is_newer_window(snd, Seq{101}, Seq{40}));
    CHECK(is_newer_window(snd, Seq{100}, Seq{50}));
    CHECK(is_newer_window(snd, Seq{100}, Seq{51}));
    CHECK_FALSE(is_newer_window(snd, Seq{100}, Seq{49}));
    CHECK_FALSE(is_newer_window(snd, Seq{99}, Seq{60}));
}

TEST_CASE("RFC 7323 2.3: the scale lets the field say the buffer, and is never above 14") {
    CHECK(window_scale_for(4096) == 0);
    CHECK(window_scale_for(65535) == 0);
    CHECK(window_scale_for(65536) == 1);
    CHECK(window_scale_for(256 * 1024) == 3);
    CHECK(window_scale_for(0xffff'ffff) == 14);
}

TEST_CASE("RFC 9293 3.8.6.2.2: the edge advances by a worthwhile step or not at all") {
    WindowNeed n;
    n.ack = Seq{1000};
    n.adv = Seq{1000};
    n.step = 500;
    n.room = UINT32_MAX / 2;
    n.wanted = Seq{1499};
    CHECK(choose_window(n).field == 0);
    n.wanted = Seq{1500};
    CHECK(choose_window(n).field == 500);
    CHECK(choose_window(n).adv == Seq{1500});
    n.room = 499;
    CHECK(choose_window(n).field == 0);
}

TEST_CASE("DURABILITY 1: the right edge that the peer reads never moves back, whatever the scale") {
    std::mt19937 random(7);
    for (int run = 0; run < 200; ++run) {
        WindowNeed n;
        n.wscale = static_cast<std::uint8_t>(random() % 15);
        const std::uint32_t buffer = (1 + static_cast<std::uint32_t>(random() % 65535)) << n.wscale;
        n.step = std::min<std::uint32_t>(buffer / 2, 1440);
        n.ack = n.adv = Seq{static_cast<std::uint32_t>(random())};
        Seq consumed = n.ack;
        Seq told = n.ack;
        for (int i = 0; i < 300; ++i) {
            n.room = random() % 3 == 0 ? static_cast<std::uint32_t>(random() % 4000) : UINT32_MAX / 2;
            n.wanted = consumed + buffer;
            const WindowChoice choice = choose_window(n);
            const Seq edge = n.ack + (std::uint32_t{choice.field} << n.wscale);
            REQUIRE(after_eq(edge, told));
            REQUIRE(choice.adv == edge);
            // No further than the buffer allows, but for what a scaled field cannot say.
            REQUIRE(before_eq(edge, max_seq(told, n.wanted) + (1U << n.wscale)));
            told = n.adv = choice.adv;
            // Something arrives, and the application takes some of what is there.
            const std::uint32_t open = n.adv - n.ack;
            n.ack += open == 0
                         ? 0
                         : static_cast<std::uint32_t>(random()) % std::min<std::uint32_t>(open + 1, 3000);
            const std::uint32_t queued = n.ack - consumed;
            if (queued != 0 && random() % 2 == 0)
                consumed += static_cast<std::uint32_t>(random()) % (queued + 1);
        }
    }
}
