-- Sends the requests of a file, one after the other, for ever, and prints the figures as JSON.
-- usage: wrk ... -s wrk.lua URL -- FILE FIRST; requests are separated by NUL, @@uid@@ is a new uid.
local parts, count, uid = {}, 0, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for text in file:read("*a"):gmatch("[^%z]+") do
    local pieces, start = {}, 1
    while true do
      local from, to = text:find("@@uid@@", start, true)
      pieces[#pieces + 1] = text:sub(start, (from or 0) - 1)
      if not from then break end
      start = to + 1
    end
    parts[#parts + 1] = pieces
  end
  file:close()
  uid = tonumber(args[2])
end

function request()
  count = count % #parts + 1
  local pieces = parts[count]
  if #pieces == 1 then return pieces[1] end
  uid = uid + 1
  return table.concat(pieces, string.format("00000000-0000-0000-0000-%012d", uid))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
