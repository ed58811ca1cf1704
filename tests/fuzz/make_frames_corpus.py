#!/usr/bin/env python3
"""Writes tests/fuzz/corpus/frames/: programs for frames.cpp, one for each kind of packet that the wire tests know."""
import pathlib
import struct

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


def tcp(flags, seq, ack=1, window=65535, conn=0, payload=0, options=b"", bad=False):
    op = conn | (8 if payload else 0) | (16 if options else 0) | (32 if bad else 0)
    out = struct.pack(">BBhhH", op, flags, seq, ack, window)
    if options:
        out += bytes([len(options)]) + options
    if payload:
        out += struct.pack(">HB", payload, 0x41)
    return out


def payload(next_header, body, hop64=False, all_nodes=False, local=False):
    op = 0x80 | (1 if hop64 else 0) | (2 if all_nodes else 0) | (4 if local else 0)
    return struct.pack(">BBH", op, next_header, len(body)) + body


def frame(body, ethernet=True, ip=True, checksum=True):
    op = 0x40 | (1 if ethernet else 0) | (2 if ip else 0) | (4 if checksum else 0)
    return struct.pack(">BH", op, len(body)) + body


def wait(ms, shift=0):
    return bytes([0xA0 | shift, ms])


def app(what, which=0, value=None):
    out = bytes([0xC0 | what, which])
    return out if value is None else out + struct.pack(">H", value)


ACCEPT, READ, SEND, SHUT, SHUT_READ, CLOSE, ABORT, CUT, COMMIT, ABANDON, UDP, UDP_READ, CONNECT, OPTION, ROOM = range(15)
OWN = bytes.fromhex("20010db8000000000000000000000001")
PEER = bytes.fromhex("20010db8000000000000000000000002")
TS = bytes.fromhex("0101080a0000006400000000")
MSS_WS_TS = bytes.fromhex("020405a0030307010402080a0000006400000000")
MAC_OPTION = bytes.fromhex("0101020000000002")

programs = {
    "data": tcp(ACK | PSH, 1, payload=100) + app(READ, 0, 100) + app(SEND, 0, 3000) + tcp(ACK, 101, 1441) + tcp(ACK, 101, 3001),
    "out_of_order": tcp(ACK, 1001, payload=500) + tcp(ACK, 501, payload=500) + tcp(ACK, 201, payload=400)
    + tcp(ACK, 1, payload=500) + app(READ, 0, 2500),
    "overlaps": tcp(ACK, 1, payload=300) + tcp(ACK, 100, payload=400) + tcp(ACK, -50, payload=90) + tcp(ACK, 400, payload=1440),
    "beyond_window": tcp(ACK, 16000, payload=1000) + tcp(ACK, 20000, payload=10) + tcp(ACK, -30000),
    "active_close": app(SHUT) + wait(1) + tcp(ACK, 1, 2) + tcp(FIN | ACK, 1, 2) + wait(250, 9) + app(CLOSE),
    "passive_close": tcp(FIN | ACK, 1) + app(CLOSE) + wait(1) + tcp(ACK, 2, 2),
    "simultaneous_close": app(SHUT) + tcp(FIN | ACK, 1, 1) + tcp(ACK, 2, 2) + wait(255, 9),
    "close_with_unread": tcp(ACK, 1, payload=10) + app(CLOSE) + wait(10),
    "fin_early": tcp(FIN | ACK, 101, payload=100) + tcp(ACK, 1, payload=100) + app(READ, 0, 500) + app(CLOSE),
    "reset": tcp(RST, 5) + tcp(RST, 1) + app(READ, 0, 10),
    "blind": tcp(SYN, 1) + tcp(SYN, 5000) + tcp(RST | ACK, 100) + tcp(ACK, 1, 30000) + tcp(ACK, 1, -30000) + tcp(0, 1) + tcp(URG | ACK, 1, payload=3),
    "handshake": tcp(SYN, 0, conn=1, options=MSS_WS_TS) + tcp(ACK, 1, conn=1, options=TS) + tcp(ACK, 1, conn=1, payload=50, options=TS) + app(ACCEPT) + app(READ, 1, 60),
    "syn_data": tcp(SYN, 0, conn=1, payload=100) + tcp(ACK, 101, conn=1) + app(ACCEPT),
    "cookies": b"".join(tcp(SYN, 0, conn=n, options=MSS_WS_TS) for n in range(1, 8)) + b"".join(tcp(ACK, 1, conn=n, payload=20, options=TS) for n in range(1, 8)) + app(ACCEPT) * 3 + wait(70, 4),
    "retransmission": app(SEND, 0, 5000) + wait(250, 2) + wait(250, 4) + tcp(ACK, 1, 1) * 4 + tcp(ACK, 1, 5001),
    "zero_window": tcp(ACK, 1, window=0) + app(SEND, 0, 2000) + wait(250, 3) + wait(250, 4) + tcp(ACK, 1, window=5000),
    "keep_alive": app(OPTION, 6, 1) + wait(250, 14) + tcp(ACK, 1),
    "connect": app(CONNECT, 3) + wait(1) + tcp(SYN | ACK, 0, conn=3) + tcp(RST | ACK, 0, conn=3) + app(CONNECT, 4) + wait(250, 4),
    "bad_tcp": tcp(ACK, 1, bad=True) + payload(6, bytes(19)) + payload(6, bytes(12) + b"\xf0" + bytes(7)) + payload(6, bytes(12) + b"\x40" + bytes(7))
    + tcp(ACK, 1, options=b"\x02\x00") + tcp(SYN, 0, conn=2, options=b"\x03\x03\x20\x02\x03\x01"),
    "udp": payload(17, struct.pack(">HHHH", 53, 9, 12, 0) + b"abcd", hop64=True) + app(UDP_READ) + app(UDP, 1, 100) + app(UDP, 0, 1400)
    + payload(17, struct.pack(">HHHH", 53, 77, 8, 0)) + payload(17, struct.pack(">HHHH", 53, 9, 99, 0)) + payload(17, b"abc"),
    "echo": payload(58, struct.pack(">BBHHH", 128, 0, 0, 7, 1) + b"ping" * 20) + payload(58, struct.pack(">BBHHH", 128, 0, 0, 7, 2), all_nodes=True),
    "icmp_errors": payload(58, struct.pack(">BBHI", 2, 0, 0, 1280) + b"\x60\0\0\0\0\x14\x06\x40" + OWN + PEER + struct.pack(">HHI", 80, 40000, 1) + bytes(12))
    + payload(58, struct.pack(">BBHI", 1, 4, 0, 0) + b"\x60\0\0\0\0\x08\x11\x40" + OWN + PEER + struct.pack(">HHHH", 9, 53, 8, 0))
    + payload(58, struct.pack(">BBHI", 4, 1, 0, 6) + bytes(20)) + payload(58, b"\xff\0\0\0"),
    "nd": payload(58, bytes([135, 0, 0, 0, 0, 0, 0, 0]) + OWN + MAC_OPTION) + payload(58, bytes([136, 0, 0, 0, 0x60, 0, 0, 0]) + PEER + bytes.fromhex("0201020000000009"))
    + payload(58, bytes([135, 0, 0, 0, 0, 0, 0, 0]) + OWN + b"\x01\x00") + payload(58, bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + OWN, all_nodes=True)
    + payload(58, bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8) + MAC_OPTION, all_nodes=True, local=True) + payload(58, bytes([137, 0, 0, 0]) + bytes(36)),
    "extensions": payload(0, bytes([58, 0, 1, 4, 0, 0, 0, 0]) + struct.pack(">BBHHH", 128, 0, 0, 7, 1)) + payload(60, bytes([59, 0, 0xC2, 4, 0, 0, 0, 0]))
    + payload(43, bytes([6, 0, 0, 1, 0, 0, 0, 0])) + payload(44, bytes([6, 0, 0, 1, 0, 0, 0, 9]) + bytes(16)) + payload(0, bytes([0, 255])) + payload(99, bytes(8)),
    "raw": frame(bytes(13), ethernet=False) + frame(bytes(60), ip=False) + frame(bytes(20) + b"\x06" + bytes(80)) + frame(bytes(14) + b"\x40" + bytes(50), ip=False) + frame(bytes(1514)),
    "cuts": tcp(ACK, 1, payload=100) + app(CUT) + app(READ, 0, 50) + app(SEND, 0, 100) + app(CUT) + app(COMMIT) + app(ABANDON) + app(CUT) + app(COMMIT)
    + app(ABORT) + app(COMMIT) + wait(100),
    "full_ring": app(ROOM, 2) + app(SEND, 0, 5900) + tcp(ACK, 1, payload=1000) * 3 + wait(100) + app(ROOM, 255) + wait(200, 2),
    "slow_reader": b"".join(tcp(ACK, 1 + 1000 * i, payload=1000) for i in range(17)) + app(READ, 0, 2999) * 3 + wait(100),
}

folder = pathlib.Path(__file__).parent / "corpus" / "frames"
folder.mkdir(parents=True, exist_ok=True)
for name, program in programs.items():
    for held in (0, 1):
        (folder / f"{name}_{'held' if held else 'plain'}").write_bytes(bytes([held]) + program)
