// One action by the npm client basic-ftp: node basic_ftp.cjs MODULES SETTINGS FOLDER ACTION WORDS..., where SETTINGS is JSON.
const { createRequire } = require("module");
const [modules, settings, folder, action, ...words] = process.argv.slice(2);
const { Client } = createRequire(modules + "/")("basic-ftp");

async function main() {
  const client = new Client(30000);
  const actions = {
    put: (source, name) => client.uploadFrom(source, name),
    get: (name, target) => client.downloadTo(target, name),
    resume: (name, target, start) => client.downloadTo(target, name, Number(start)),
    append: (source, name, start) => client.appendFrom(source, name, { localStart: Number(start) }),
    size: async (name) => console.log(await client.size(name)),
    list: async () => (await client.list()).forEach((each) => console.log(each.name)),
    rename: (name, next) => client.rename(name, next),
    delete: (name) => client.remove(name),
  };
  try {
    await client.access({ ...JSON.parse(settings), secureOptions: { rejectUnauthorized: false } });
    await client.cd(folder);
    await actions[action](...words);
  } finally {
    client.close();
  }
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
