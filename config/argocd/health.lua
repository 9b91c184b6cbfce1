-- Health of a MonitoringStack for Argo CD. What the operator says of an older generation counts for
-- nothing, and a paused stack is neither good nor bad.
local hs = { status = "Progressing", message = "waiting for the operator to look at the stack" }

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "being deleted"
  return hs
end

if obj.status == nil or obj.status.conditions == nil then
  return hs
end

if obj.status.observedGeneration ~= nil and obj.metadata.generation ~= nil
    and obj.status.observedGeneration < obj.metadata.generation then
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end

local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

if is_true("Paused") then
  hs.status = "Suspended"
  hs.message = conditions["Paused"].message
elseif is_true("Stalled") then
  hs.status = "Degraded"
  hs.message = conditions["Stalled"].message
elseif is_true("Ready") then
  hs.status = "Healthy"
  hs.message = conditions["Ready"].message
elseif conditions["Ready"] ~= nil then
  hs.message = conditions["Ready"].message
end

return hs
