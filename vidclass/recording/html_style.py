"""How the pages look that clasify.py writes: their CSS."""

STYLE = """
body { font: 16px/1.4 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 0 auto;
  padding: 1rem; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
svg { display: block; width: 100%; } .curves { height: 11rem; border: solid #bbb; border-width: 1px 0; }
.strip { height: 1.6rem; margin-top: 4px; }
.scale { display: flex; justify-content: space-between; color: #666; font-size: .8rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; list-style: none; }
.chip { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin-right: .4em; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .35rem .6rem .35rem 0; vertical-align: top; }
td, th { border-bottom: 1px solid #ddd; }
.wide { width: 70%; overflow-wrap: anywhere; }
.name { overflow-wrap: anywhere; min-width: 7rem; } .whole { white-space: nowrap; }
th { font-weight: 600; overflow-wrap: break-word; max-width: 9rem; } tr:target { background: #fff3c4; }
img { display: block; width: 7.5rem; max-width: 26vw; height: auto; } .note { color: #555; font-size: .9rem; }
"""
