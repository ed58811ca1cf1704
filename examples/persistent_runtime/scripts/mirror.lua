-- Fetches files from a web server and puts each back there under another name, one piece at a time: a client, so that
-- the connections are of its own making.
--     persistent_runtime --tap keepnet0 --state mirror.image scripts/mirror.lua ADDRESS PORT FROM TO NAME...
local address, port, from, to = arg[1], tonumber(arg[2]), arg[3], arg[4]

-- Status and length of an answer, up to its body.
local function head(conn)
  local line = conn:line()
  local status, length = tonumber(line and line:match("^HTTP/1%.1 (%d+)")), 0
  for field in conn:lines() do
    if field == "" then break end
    length = tonumber(field:match("^[Cc]ontent%-[Ll]ength: *(%d+)$")) or length
  end
  return status, length
end

local function request(conn, method, path, more)
  return conn:send(method .. " " .. path .. " HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n" .. (more or "") .. "\r\n")
end

local function mirror(name)
  local source <close> = assert(net.connect(address, port))
  assert(request(source, "GET", from .. name))
  local status, length = head(source)
  assert(status == 200, name)
  local target <close> = assert(net.connect(address, port))
  assert(request(target, "PUT", to .. name, "Content-Length: " .. length .. "\r\n"))
  local copied = 0
  while copied < length do
    local data = assert(source:receive(math.min(16384, length - copied)))
    assert(target:send(data))
    copied = copied + #data
  end
  status = head(target)
  assert(status == 201 or status == 204, name)
  return copied
end

for i = 5, #arg do
  print(arg[i], mirror(arg[i]))
end
