// What Furo leaves out for whoever has no mouse, does not see the page, or sees little of a graph at once.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll('.caption[role="heading"]')) {
    caption.setAttribute("aria-level", "2");
  }
  for (const wide of document.querySelectorAll(".table-wrapper, div.highlight pre")) {
    if (wide.scrollWidth > wide.clientWidth) {
      wide.tabIndex = 0;
    }
  }
  for (const frame of document.querySelectorAll("div.graph")) {
    const first = frame.querySelector(".here, .of-files")?.getBoundingClientRect();
    if (first) {
      frame.scrollLeft = first.left + first.width / 2 - frame.getBoundingClientRect().left - frame.clientWidth / 2;
    }
  }
});
