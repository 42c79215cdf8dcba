// The first frame of a video as a small picture. A browser opens six connections to a server, and a loaded player keeps
// one of them: so a few players at a time load the frame, and are thrown away.

const AT_ONCE = 3;
const WIDEST = 480;
const PATIENCE = 20_000;

const pictures = new Map(); // address → promise of a data: URL
const queue = [];
let running = 0;

/** The first frame as a data: URL. `wanted()` is asked when its turn comes: if it says no, the promise is of null. */
export function firstFrame(address, wanted = () => true) {
  if (!pictures.has(address)) {
    const picture = new Promise((resolve, reject) => queue.push({ address, wanted, resolve, reject }));
    pictures.set(address, picture);
    next();
  }
  return pictures.get(address);
}

function next() {
  while (running < AT_ONCE && queue.length) {
    const { address, wanted, resolve, reject } = queue.pop(); // what was asked for last is in view now
    if (!wanted()) {
      pictures.delete(address);
      resolve(null);
      continue;
    }
    running += 1;
    grab(address)
      .then(resolve, (error) => {
        pictures.delete(address);
        reject(error);
      })
      .finally(() => {
        running -= 1;
        next();
      });
  }
}

function grab(address) {
  const video = document.createElement("video");
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("The first frame takes too long.")), PATIENCE);
    video.muted = true;
    video.preload = "auto";
    // A frame that is loaded may not be decoded yet, and would be black. One that was sought is there.
    video.addEventListener("loadeddata", () => (video.currentTime = 0.001));
    video.addEventListener("seeked", () => resolve(drawn(video)));
    video.addEventListener("error", () => reject(new Error("The video cannot be loaded.")));
    video.addEventListener("seeked", () => clearTimeout(timer));
    video.addEventListener("error", () => clearTimeout(timer));
    video.src = address;
  }).finally(() => {
    video.removeAttribute("src");
    video.load(); // lets go of the connection
  });
}

function drawn(video) {
  const scale = Math.min(1, WIDEST / video.videoWidth);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.75);
}
