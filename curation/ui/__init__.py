"""What the pages share: the frame, HTTP routes, components. The only part that may import Streamlit."""
