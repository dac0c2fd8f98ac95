-- The handler for SWUpdate: an image of type "northstate" is a tar archive with desired.yaml and packages. SWUpdate loads this
-- file at its start from Lua's path, /usr/share/lua/5.3/swupdate_handlers.lua for example. SWUpdate has checked signature and
-- hash by then; whoever installs a bundle is northstate-bundle.
require("swupdate")

local function run(command)
	local done, how, status = os.execute(command)
	if done then return true end
	swupdate.error(string.format("northstate: %s: %s %d", command, how, status))
	return false
end

-- 0: the document is reached and stays; 1: all is as before.
local function northstate(image)
	local folder = os.tmpname()
	local archive = folder .. ".tar"
	os.remove(folder)
	local copied, message = image:copy2file(archive)
	if copied ~= 0 then
		swupdate.error(string.format("northstate: %s cannot be stored: %s", image.filename, message))
		return 1
	end
	local installed = run(string.format("mkdir -m 700 '%s' && tar -xf '%s' -C '%s'", folder, archive, folder))
		and run(string.format("northstate-bundle install '%s'", folder))
		and run("northstate-bundle commit")
	run(string.format("rm -rf '%s' '%s'", folder, archive))
	return installed and 0 or 1
end

swupdate.register_handler("northstate", northstate, swupdate.HANDLER_MASK.FILE_HANDLER)
