// One action by the npm client ssh2-sftp-client: node ssh2_sftp.cjs MODULES SETTINGS ACTION WORDS..., where SETTINGS is JSON.
const { createRequire } = require("module");
const [modules, settings, action, ...words] = process.argv.slice(2);
const Client = createRequire(modules + "/")("ssh2-sftp-client");

async function main() {
  const client = new Client();
  const actions = {
    put: (source, name) => client.put(source, name),
    get: (name, target) => client.get(name, target),
    append: (source, name) => client.append(require("fs").createReadStream(source), name),
    list: async (folder) => (await client.list(folder)).forEach((each) => console.log(each.name)),
    rename: (name, next) => client.rename(name, next),
    replace: (name, next) => client.posixRename(name, next),
    delete: (name) => client.delete(name),
  };
  try {
    await client.connect(JSON.parse(settings));
    await actions[action](...words);
  } finally {
    await client.end();
  }
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
