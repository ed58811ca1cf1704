-- The files of a directory, to any web client.
--     persistent_runtime --tap keepnet0 --state files.image scripts/http_files.lua DIRECTORY [PORT]
local root = assert(arg[1], "which directory?")
local listener = assert(net.listen(tonumber(arg[2]) or 80))

local function answer(conn, status, length)
  return conn:send("HTTP/1.1 " .. status .. "\r\nContent-Length: " .. length .. "\r\n\r\n")
end

local function send_file(conn, path, length)
  local offset = 0
  while offset < length do
    local data = files.read(path, offset, math.min(65536, length - offset))
    if not data or data == "" then return false end     -- somebody made it shorter: the answer cannot be right
    if not conn:send(data) then return false end
    offset = offset + #data
  end
  return true
end

-- One request; true: another may follow.
local function serve(conn)
  local request = conn:line()
  if not request then return false end
  local method, target = request:match("^(%u+) (/[^ ?#]*)[^ ]* HTTP/1%.1$")
  for line in conn:lines() do
    if line == "" then break end
  end
  local path = method and root .. target
  local length = path and not path:find("..", 1, true) and files.size(path)
  if not method then
    answer(conn, "400 Bad Request", 0)
    return false
  elseif method ~= "GET" and method ~= "HEAD" then
    answer(conn, "501 Not Implemented", 0)
    return false
  elseif not length then
    return answer(conn, "404 Not Found", 0)
  end
  return answer(conn, "200 OK", length) and (method == "HEAD" or send_file(conn, path, length))
end

for conn in listener:connections() do
  spawn(function()
    while serve(conn) do end
    conn:close()
  end)
end
